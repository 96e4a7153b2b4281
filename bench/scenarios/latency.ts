import { statusChannel } from '../../src/redis/hints.ts';
import { ReadableError } from '../../src/process.ts';
import { ask } from '../child.ts';
import type { Api } from '../contestant.ts';
import { service } from '../contestants.ts';
import type { Machine } from '../machine.ts';
import type { PacedResult, Paced } from '../paced-process.ts';
import { serviceContestant } from '../peers/service.ts';
import { quantile } from '../results.ts';
import type { Context, Scenario } from '../scenario.ts';

const PER_SECOND = 500;
const DATABASE = 'orders_latency';

export const IDLE = 'POST → COMPLETED, idle';
export const UNDER_LOAD = `POST → COMPLETED, ${PER_SECOND} orders/s offered`;

// Of its own, so that nothing is queued before.
const contestant = serviceContestant({ name: service.name, database: DATABASE });

/** One order at a time, and in between at least 100 ms of nothing, at no fixed distance from a poll. */
function idleTimes(orders: number): number[] {
  let at = 0;
  return Array.from({ length: orders }, () => (at += 100 + Math.random() * 100));
}

function evenTimes(seconds: number): number[] {
  return Array.from({ length: seconds * PER_SECOND }, (_, n) => (n * 1000) / PER_SECOND);
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const api = await contestant.api(machine);
  const worker = await contestant.worker?.(machine);
  const seconds = quick ? 3 : 10;
  await place(machine, api, evenTimes(quick ? 1 : 5)); // warms up
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const [scenario, times] of [
      [IDLE, idleTimes(quick ? 20 : 40)],
      [UNDER_LOAD, evenTimes(seconds)],
    ] as const) {
      await machine.checkpoint();
      const { answered, completed } = await place(machine, api, times);
      for (const share of [0.5, 0.95, 0.99]) {
        const measure = `p${share * 100}`;
        results.add(scenario, service.name, measure, 'ms', quantile(completed, share));
      }
      results.add(scenario, service.name, 'answered p50', 'ms', quantile(answered, 0.5));
      results.add(scenario, service.name, 'answered p99', 'ms', quantile(answered, 0.99));
    }
  }
  await worker?.stop();
  await api.stop();
}

/** Places the orders. Rejects when one was completed and nobody told, or was not completed at all. */
async function place(machine: Machine, api: Api, dueMs: number[]): Promise<PacedResult> {
  const { origin, path, headers, body } = api;
  const channel = statusChannel({ REDIS_PREFIX: DATABASE });
  const { redisUrl } = machine;
  const paced: Paced = { url: `${origin}${path}`, headers, body, dueMs, redisUrl, channel };
  const result = await ask<PacedResult>('paced-process.ts', paced);
  const [{ open } = { open: 0 }] = await machine.query<{ open: number }>(
    `SELECT count(*)::int AS open FROM orders WHERE status <> 'COMPLETED'`,
    DATABASE,
  );
  if (open + result.unheard.length > 0) {
    throw new ReadableError(
      `of ${dueMs.length} orders, ${result.unheard.length} were never announced as COMPLETED, and ${open} are not`,
    );
  }
  return result;
}

export const latency: Scenario = { name: 'latency', run };
