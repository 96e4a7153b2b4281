/* For tests that keep a batch of the intake in flight: a session of the test locks the row of the order's user. */
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../../src/deps.ts';
import { signUp, type Context } from './context.ts';
import { databaseUrl } from './template.ts';
import { until } from './until.ts';

/** Settings of an API with one batch in flight, which waits for a lock for 9 s. */
export const ONE_LONG_BATCH = { INTAKE_IN_FLIGHT_MAX: '1', INTAKE_LOCK_TIMEOUT_MS: '9000' };

export const KETTLE = { product_name: 'Kettle', amount: '34.90' };

export type Customer = Awaited<ReturnType<typeof signUp>>;

/** Signs up two users. */
export function twoCustomers(
  service: Pick<Context, 'deps' | 'origin'>,
): Promise<[Customer, Customer]> {
  return Promise.all([signUp(service), signUp(service)]);
}

/** Sends an order whose batch waits for the row of its user until `release`. `blocked` is the reply. */
export async function blockOrderOf(t: ExecutionContext, database: string, user: Customer) {
  const client = new Client(databaseUrl(database));
  await client.connect();
  t.teardown(() => client.end());
  await client.query('BEGIN');
  await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
  const blocked = user.request('POST', '/orders', KETTLE);
  await until('the batch to wait', async () => {
    const { rowCount } = await client.query(
      'SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))',
    );
    return rowCount;
  });
  return { blocked, release: () => client.query('COMMIT') };
}

/** Waits until this many orders wait in the intake, according to the API's metrics. */
export async function waitingAt(internal: string, count: number): Promise<void> {
  await until(`${count} orders to wait`, async () => {
    const metrics = await (await fetch(`${internal}/metrics`)).text();
    return metrics.includes(`\noms_intake_waiting_orders ${count}\n`);
  });
}

/** The ids of a user's orders that have a job of the same transaction, sorted. */
export async function storedWithJob(
  { pool }: Pick<Deps, 'pool'>,
  { id }: Customer,
): Promise<string[]> {
  const rows = await pool.anyFirst(sql.type(z.object({ id: z.string() }))`
    SELECT o.id FROM orders AS o
    JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
      AND j.data ->> 'xact_id' = o.xact_id::text
    WHERE o.user_id = ${id}
    ORDER BY o.id
  `);
  return [...rows];
}
