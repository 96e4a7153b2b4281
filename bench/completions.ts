import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { ReadableError } from '../src/process.ts';
import { connect } from './databases.ts';
import type { Machine } from './machine.ts';

const POLL_MS = 100;
const TIMEOUT_MS = 60_000;

// The index on `at` finds the newest events in a table of any size.
const COMPLETED_SINCE = `
  SELECT count(*)::int AS orders FROM order_events WHERE at >= $1 AND to_status = 'COMPLETED'`;

/**
 * Measures how many orders per second the workers complete in a database of the service. Starts the workers, lets them
 * warm up on the first `skip` orders, measures the next `count` orders, and stops the workers.
 */
export async function timeCompletions(
  machine: Machine,
  database: string,
  { skip, count }: { skip: number; count: number },
  startWorkers: () => Promise<{ stop: () => Promise<void> }[]>,
): Promise<number> {
  const { databaseUrl } = await machine.service(database);
  const db = await connect(databaseUrl);
  const workers: { stop: () => Promise<void> }[] = [];
  try {
    await db.query(`SELECT brin_summarize_new_values('order_events_at_ix')`);
    const { rows } = await db.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    const since = rows[0]?.now;
    workers.push(...(await startWorkers()));
    const first = await waitFor(db, since, skip);
    const last = await waitFor(db, since, skip + count);
    return (last.orders - first.orders) / ((last.at - first.at) / 1000);
  } finally {
    await db.end();
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** Waits until this number of orders is completed. Returns the number that it found, and the time of that query. */
async function waitFor(db: Client, since: Date | undefined, orders: number) {
  const started = performance.now();
  for (;;) {
    const at = performance.now();
    const { rows } = await db.query<{ orders: number }>(COMPLETED_SINCE, [since]);
    const found = rows[0]?.orders ?? 0;
    if (found >= orders) return { orders: found, at };
    if (at - started > TIMEOUT_MS) {
      throw new ReadableError(
        `Only ${found} of ${orders} orders were completed in ${TIMEOUT_MS} ms`,
      );
    }
    await setTimeout(POLL_MS);
  }
}
