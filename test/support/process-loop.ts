/* What the tests of workers without an external step check: no job was claimed, each order was completed once. */
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { z } from 'zod';
import { untilTransactionsEnd, violations } from './audit.ts';
import type { Context } from './context.ts';
import { connectDba } from './dba.ts';
import { until } from './until.ts';

/** Settings of a worker that needs several batches for a few orders. */
export const SMALL_BATCHES = { WORKER_BATCH_SIZE: '10', WORKER_CONCURRENCY: '2' };

/** Records the ids of all jobs of orders that become active from now on, even for a short time. */
export async function watchClaims(
  t: ExecutionContext<Context>,
  service: Pick<Context, 'database'>,
): Promise<() => Promise<string[]>> {
  const { rows, value } = await connectDba(t, service, 'postgres');
  const table: string = await value(
    `SELECT format('pgboss.%I', table_name) FROM pgboss.queue WHERE name = 'process-order'`,
  );
  await rows('CREATE TABLE was_active (id uuid NOT NULL)');
  await rows(`
    CREATE FUNCTION note_active() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN INSERT INTO public.was_active VALUES (NEW.id); RETURN NULL; END $$
  `);
  await rows(`
    CREATE TRIGGER job_99_note_active AFTER INSERT OR UPDATE ON ${table} FOR EACH ROW
      WHEN (NEW.state = 'active') EXECUTE FUNCTION note_active()
  `);
  return async () =>
    (await rows('SELECT id FROM was_active ORDER BY id')).map(({ id }) => String(id));
}

/** The number of open orders, and of completions. */
export function countOrders({ deps: { pool } }: Pick<Context, 'deps'>) {
  return pool.one(sql.type(z.object({ open: z.int(), completions: z.int() }))`
    SELECT
      (SELECT count(*)::integer FROM orders WHERE status IN ('PENDING', 'PROCESSING')) AS open,
      (SELECT count(*)::integer FROM order_events WHERE to_status = 'COMPLETED') AS completions
  `);
}

/** Waits until no order is open. */
export async function allOrdersEnd(service: Pick<Context, 'deps'>): Promise<void> {
  await until('all orders to end', async () => (await countOrders(service)).open === 0);
}

/** The attempt that completed each order. */
export async function completingAttempts({ deps: { pool } }: Pick<Context, 'deps'>) {
  const rows = await pool.any(sql.type(z.object({ order_id: z.guid(), attempt: z.int() }))`
    SELECT order_id, attempt FROM order_events WHERE to_status = 'COMPLETED'
  `);
  return new Map(rows.map(({ order_id, attempt }) => [order_id, attempt]));
}

/** Checks that the audit finds no violation, when no transaction is open any more. */
export async function auditIsClean(
  t: ExecutionContext,
  service: Pick<Context, 'database'>,
): Promise<void> {
  await untilTransactionsEnd(service);
  t.deepEqual(await violations(service), []);
}
