/*
 * How fast does a worker drain a queue? The worker is connected and idle. All orders become visible to it at once. The
 * time runs from then until no order is left.
 */
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../../src/process.ts';
import { service } from '../contestants.ts';
import type { QueueContestant } from '../contestant.ts';
import type { Machine } from '../machine.ts';
import { bullmq } from '../peers/bullmq.ts';
import { graphile } from '../peers/graphile.ts';
import { inTurn, type Scenario } from '../scenario.ts';

const ORDERS = 50_000;
const ORDERS_QUICK = 5_000;
const TIMEOUT_MS = 120_000;
const POLL_MIN_MS = 10;

export const DRAIN = 'drain of queued orders';

const contestants = [service, bullmq, graphile];

export const drain: Scenario = {
  name: 'drain',
  async run({ machine, results, quick, rounds, say }) {
    const orders = quick ? ORDERS_QUICK : ORDERS;
    for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
      for (const contestant of inTurn(contestants, round)) {
        // The first round only warms up.
        const perSecond = await drainOnce(machine, contestant, round === 0 ? ORDERS_QUICK : orders);
        say(`round ${round} of ${rounds}, ${contestant.name} ${perSecond.toFixed(0)} /s`);
        if (round > 0) results.add(DRAIN, contestant.name, 'throughput', '/s', perSecond);
      }
    }
  },
};

/** Lets one worker drain this number of orders. Returns orders per second. Rejects when one is not COMPLETED then. */
export async function drainOnce(
  machine: Machine,
  contestant: QueueContestant,
  orders: number,
): Promise<number> {
  const { name, database, worker, fill, left, clear } = contestant;
  await clear(machine);
  const running = await worker(machine);
  try {
    const release = await fill(machine, orders);
    await machine.checkpoint();
    const started = performance.now();
    await release();
    await untilNoneLeft(() => left(machine), started, orders);
    const seconds = (performance.now() - started) / 1000;
    const unfinished = `SELECT count(*)::int AS orders FROM orders WHERE status <> 'COMPLETED'`;
    const [open] = await machine.query<{ orders: number }>(unfinished, database);
    if (open?.orders !== 0) {
      throw new ReadableError(`${name}: ${open?.orders} orders are not COMPLETED after the drain`);
    }
    return orders / seconds;
  } finally {
    await running.stop();
  }
}

/** Polls rarely at first, because a poll costs CPU, and often towards the end, for an exact time. */
async function untilNoneLeft(
  left: () => Promise<number>,
  started: number,
  orders: number,
): Promise<void> {
  for (;;) {
    const remaining = await left();
    if (remaining === 0) return;
    const elapsed = performance.now() - started;
    if (elapsed > TIMEOUT_MS) throw new ReadableError(`${remaining} of ${orders} orders are left`);
    const expectedMs = (elapsed / Math.max(1, orders - remaining)) * remaining;
    await setTimeout(Math.max(Math.min(expectedMs / 2, elapsed), POLL_MIN_MS));
  }
}
