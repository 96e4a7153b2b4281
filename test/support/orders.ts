/*
 * Orders and their jobs without HTTP: placed from SQL, read from the tables.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql, type CommonQueryMethods } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import type { Deps, WorkerDeps } from '../../src/deps.ts';
import type { IdentifiedOrder } from '../../src/orders/placement.ts';

/** An order as an argument of the domain functions, with id and user. */
export function preparedOrder(user_id: string, product_name = 'Kettle'): IdentifiedOrder {
  return {
    id: randomUUIDv7(),
    user_id,
    product_name,
    amount: '34.90',
    currency: 'USD',
    metadata: {},
  };
}

/**
 * The end of a statement that inserts orders by hand: inserts a job for each order in `placed`. All other callers use
 * place_orders, which does both.
 */
export const andTheirJobs = sql.fragment`
  INSERT INTO order_jobs (id, name, data, expire_seconds, retry_limit, dead_letter)
  SELECT placed.id, q.name, jsonb_build_object('order_id', placed.id, 'xact_id', placed.xact_id::text),
    q.expire_seconds, q.retry_limit, q.dead_letter
  FROM placed, pgboss.queue AS q
  WHERE q.name = 'process-order'
`;

/** Places orders from SQL. Returns their ids, the oldest first. */
export async function insertOrders(
  { pool }: { pool: Pick<CommonQueryMethods, 'any'> },
  userId: string,
  count: number,
) {
  const Row = z.object({ id: z.uuid() });
  const rows = await pool.any(sql.type(Row)`
    SELECT place_order(${userId}, 'Kettle', 34.90) AS id FROM generate_series(1, ${count})
  `);
  return rows.map(({ id }) => id).sort(); // ids of the same millisecond come in any order
}

const Event = z.object({ to_status: z.string(), actor: z.string(), reason: z.string().nullable() });

/** The events of an order, read from the table. */
export function eventsOf({ pool }: Pick<Deps, 'pool'>, id: string) {
  return pool.any(sql.type(Event)`
    SELECT to_status, actor, reason FROM order_events WHERE order_id = ${id} ORDER BY version
  `);
}

/** The job of an order, read from pg-boss's table. */
export async function jobOf(
  { boss }: Pick<WorkerDeps, 'boss'>,
  id: string,
  queue: QueueName = 'process-order',
) {
  const [job] = await boss.findJobs<{ order_id: string }>(queue, { id });
  if (!job) throw new Error(`queue ${queue} has no job ${id}`);
  return job;
}

/** Makes the next attempt of an order's job the last one. */
export async function leaveOneTry({ boss }: Pick<WorkerDeps, 'boss'>, id: string): Promise<void> {
  await boss.update('process-order', undefined, { id, retryLimit: 0 });
}

/** Deletes all jobs of a queue. pg-boss itself would truncate the table, and no worker has that right. */
export async function deleteJobs({ pool }: Pick<Deps, 'pool'>, queue: QueueName): Promise<void> {
  await pool.query(sql.unsafe`DELETE FROM pgboss.job WHERE name = ${queue}`);
}
