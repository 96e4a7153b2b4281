import type { Api } from '../contestant.ts';
import { service } from '../contestants.ts';
import type { Machine } from '../machine.ts';
import { placePaced } from '../paced.ts';
import { serviceContestant } from '../peers/service.ts';
import { quantile } from '../results.ts';
import type { Context, Scenario } from '../scenario.ts';

const PER_SECOND = 500;
const DATABASE = 'orders_latency';
const TIMEOUT_MS = 10_000;

// A shorter pause makes the figure more exact, and takes more CPU from the processes that are measured.
const WATCH_PAUSE_IDLE_MS = 1;
const WATCH_PAUSE_UNDER_LOAD_MS = 4;

export const IDLE = 'POST → COMPLETED, idle';
export const UNDER_LOAD = `POST → COMPLETED, ${PER_SECOND} orders/s offered`;

// In a database of its own, where the queue is empty.
const contestant = serviceContestant({ name: service.name, database: DATABASE });

/** One order at a time, with random pauses of 100 to 200 ms, so the orders have no fixed distance from a poll. */
function idleTimes(orders: number): number[] {
  let at = 0;
  return Array.from({ length: orders }, () => (at += 100 + Math.random() * 100));
}

function evenTimes(seconds: number): number[] {
  return Array.from({ length: seconds * PER_SECOND }, (_, n) => (n * 1000) / PER_SECOND);
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const api = await contestant.api(machine);
  const worker = await contestant.worker(machine);
  const seconds = quick ? 3 : 10;
  await place(machine, api, evenTimes(quick ? 1 : 5), WATCH_PAUSE_UNDER_LOAD_MS); // warms up
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const [scenario, times, watchPauseMs] of [
      [IDLE, idleTimes(quick ? 20 : 40), WATCH_PAUSE_IDLE_MS],
      [UNDER_LOAD, evenTimes(seconds), WATCH_PAUSE_UNDER_LOAD_MS],
    ] as const) {
      await machine.checkpoint();
      const { answered, completed, watchCpuShare } = await place(machine, api, times, watchPauseMs);
      for (const share of [0.5, 0.95, 0.99]) {
        const measure = `p${share * 100}`;
        results.add(scenario, service.name, measure, 'ms', quantile(completed, share));
      }
      results.add(scenario, service.name, 'answered p50', 'ms', quantile(answered, 0.5));
      results.add(scenario, service.name, 'answered p99', 'ms', quantile(answered, 0.99));
      results.add(scenario, service.name, 'Postgres CPU of watching', '%', 100 * watchCpuShare);
    }
  }
  await worker.stop();
  await api.stop();
}

/** Places some orders at given times, and checks that each is seen as COMPLETED. Throws when one is not. */
export async function verifyLatency(machine: Machine): Promise<void> {
  const api = await contestant.api(machine);
  const worker = await contestant.worker(machine);
  await place(machine, api, evenTimes(0.1), WATCH_PAUSE_IDLE_MS);
  await worker.stop();
  await api.stop();
}

function place(machine: Machine, api: Api, dueMs: number[], watchPauseMs: number) {
  const options = { dueMs, watchPauseMs, timeoutMs: TIMEOUT_MS };
  return placePaced(machine, DATABASE, api, options);
}

export const latency: Scenario = { name: 'latency', run };
