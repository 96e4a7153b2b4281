/*
 * How long do orders wait when a worker is killed? Two workers process a steady load, and one of them is killed
 * (SIGKILL) during the load. The figure is the longest time from created_at to COMPLETED, by the clock of the
 * database.
 */
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../../src/process.ts';
import type { Api } from '../contestant.ts';
import { service } from '../contestants.ts';
import type { Machine } from '../machine.ts';
import { placePaced } from '../paced.ts';
import { serviceContestant } from '../peers/service.ts';
import type { Process } from '../process.ts';
import type { Context, Scenario } from '../scenario.ts';

const PER_SECOND = 200;
const LOAD_SECONDS = 6;
const DATABASE = 'orders_worker_killed';

/** The worker is killed after it has completed this number of orders, so it takes part in the load. */
const ORDERS_BEFORE = 100;

/** A random delay of the kill up to this time, so it has no fixed distance from a batch. */
const SPREAD_MS = 1000;

/** Orders count from this time before the kill until the end of the load. */
const WINDOW_BEFORE_SECONDS = 1;

const POLL_MS = 50;
const WATCH_PAUSE_MS = 20; // the watch only waits for the end; the figure comes from the database
const KILL_TIMEOUT_MS = 30_000;
const TIMEOUT_MS = 120_000; // longer than a claim can last, so a late order is measured and does not fail the run

export const WORKER_KILLED = `longest open around the kill of a worker, ${PER_SECOND} orders/s offered`;

const contestant = serviceContestant({ name: service.name, database: DATABASE });

/** Kills one of two workers, and checks that every order is completed. Throws when one is not. */
export async function verifyWorkerKilled(machine: Machine): Promise<void> {
  const api = await contestant.api(machine);
  const survivor = await contestant.worker(machine);
  await longestAroundKill(machine, api, await contestant.worker(machine));
  await survivor.stop();
  await api.stop();
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const api = await contestant.api(machine);
  const survivor = await contestant.worker(machine);
  for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
    say(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`);
    const victim = await contestant.worker(machine);
    const longest = await longestAroundKill(machine, api, victim);
    if (round > 0) results.add(WORKER_KILLED, service.name, 'longest', 's', longest);
  }
  await survivor.stop();
  await api.stop();
}

/** Kills a worker under load. Returns the seconds from created_at to COMPLETED of the slowest order. */
async function longestAroundKill(machine: Machine, api: Api, victim: Process): Promise<number> {
  await machine.checkpoint();
  const dueMs = Array.from(
    { length: LOAD_SECONDS * PER_SECOND },
    (_, n) => (n * 1000) / PER_SECOND,
  );
  const loaded = placePaced(machine, DATABASE, api, {
    dueMs,
    watchPauseMs: WATCH_PAUSE_MS,
    timeoutMs: TIMEOUT_MS,
  });
  const [killedAt] = await Promise.all([killAtWork(machine, victim), loaded]);
  const sql = `
    SELECT max(extract(epoch FROM e.at - o.created_at))::float8 AS longest,
      count(*) FILTER (WHERE o.created_at < '${killedAt}')::int AS before,
      count(*) FILTER (WHERE o.created_at > '${killedAt}')::int AS after
    FROM orders AS o
    JOIN order_events AS e ON e.order_id = o.id AND e.to_status = 'COMPLETED'
    WHERE o.created_at > '${killedAt}'::timestamptz - interval '${WINDOW_BEFORE_SECONDS} seconds'`;
  const [found] = await machine.query<{ longest: number; before: number; after: number }>(
    sql,
    DATABASE,
  );
  if (!found || found.before === 0 || found.after === 0) {
    throw new ReadableError('The worker was not killed during the load');
  }
  return found.longest;
}

/** Kills a worker that has completed orders. Returns the time of the kill, by the clock of the database. */
async function killAtWork(machine: Machine, victim: Process): Promise<string> {
  const done = `SELECT count(*)::int AS orders FROM order_events
    WHERE at > now() - interval '1 minute' AND to_status = 'COMPLETED' AND actor LIKE 'worker:%:${victim.pid}'`;
  const deadline = performance.now() + KILL_TIMEOUT_MS;
  for (;;) {
    const [found] = await machine.query<{ orders: number }>(done, DATABASE);
    if ((found?.orders ?? 0) >= ORDERS_BEFORE) break;
    if (performance.now() > deadline) {
      throw new ReadableError(
        `The worker has completed only ${found?.orders} orders, so it was not killed`,
      );
    }
    await setTimeout(POLL_MS);
  }
  await setTimeout(Math.random() * SPREAD_MS);
  const clock = 'SELECT clock_timestamp()::text AS at';
  const [now] = await machine.query<{ at: string }>(clock, DATABASE);
  await victim.kill();
  return now?.at ?? '';
}

export const workerKilled: Scenario = { name: 'worker-killed', run };
