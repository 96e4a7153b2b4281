import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import type { Deps, WorkerDeps } from '../deps.ts';
import type { IdentifiedOrder } from '../orders/placement.ts';

/** An order as the domain takes it, with its id and its user. */
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

/** Places orders from SQL, oldest first; returns their ids. */
export async function insertOrders({ pool }: Pick<Deps, 'pool'>, userId: string, count: number) {
  const Row = z.object({ id: z.uuid() });
  const rows = await pool.any(sql.type(Row)`
    SELECT place_order(${userId}, 'Kettle', 34.90) AS id FROM generate_series(1, ${count})
  `);
  return rows.map(({ id }) => id).sort(); // several of one millisecond are in no order
}

const Event = z.object({ to_status: z.string(), actor: z.string(), reason: z.string().nullable() });

/** The trail of an order, straight from the table. */
export function eventsOf({ pool }: Pick<Deps, 'pool'>, id: string) {
  return pool.any(sql.type(Event)`
    SELECT to_status, actor, reason FROM order_events WHERE order_id = ${id} ORDER BY version
  `);
}

/** The job of an order as pg-boss has it. */
export async function jobOf(
  { boss }: Pick<WorkerDeps, 'boss'>,
  id: string,
  queue: QueueName = 'process-order',
) {
  const [job] = await boss.findJobs<{ order_id: string }>(queue, { id });
  if (!job) throw new Error(`queue ${queue} has no job ${id}`);
  return job;
}

/** Leaves the job of an order no retry: its next try is the last one. */
export async function leaveOneTry({ boss }: Pick<WorkerDeps, 'boss'>, id: string): Promise<void> {
  await boss.update('process-order', undefined, { id, retryLimit: 0 });
}

/** Empties a queue. Not through pg-boss, which would truncate its table: no worker may do that. */
export async function deleteJobs({ pool }: Pick<Deps, 'pool'>, queue: QueueName): Promise<void> {
  await pool.query(sql.unsafe`DELETE FROM pgboss.job WHERE name = ${queue}`);
}
