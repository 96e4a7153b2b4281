import { sql } from 'slonik';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import { CustomerEvent, withReason, type OrderEvent } from './events.ts';
import { StoredOrder, type Order, type OrderFilter } from './schema.ts';

const columns = sql.fragment`
  id, status, version, user_id, product_name, amount, currency, metadata::text AS metadata, created_at, updated_at
`;

/** A page of the user's orders, newest first. */
export function listOrders(
  { pool }: Pick<Deps, 'pool'>,
  userId: string,
  filter: OrderFilter,
): Promise<readonly Order[]> {
  return pool.any(sql.type(StoredOrder)`
    SELECT ${columns}
    FROM orders
    WHERE ${sql.and([
      sql.fragment`user_id = ${userId}`,
      filter.status && sql.fragment`status = ${filter.status}`,
      filter.cursor && sql.fragment`id < ${filter.cursor}`,
    ])}
    ORDER BY id DESC
    LIMIT ${filter.limit}
  `);
}

/** One order of the user. Throws order-not-found also for the order of another user. */
export async function findOrder(
  { pool }: Pick<Deps, 'pool'>,
  userId: string,
  id: string,
): Promise<Order> {
  const order = await pool.maybeOne(sql.type(StoredOrder)`
    SELECT ${columns} FROM orders WHERE id = ${id} AND user_id = ${userId}
  `);
  if (!order) throw new Problem('order-not-found');
  return order;
}

/** All events of an order of the user, oldest first. */
export async function listEvents(
  deps: Pick<Deps, 'pool'>,
  userId: string,
  id: string,
): Promise<OrderEvent[]> {
  await findOrder(deps, userId, id);
  const events = await deps.pool.any(sql.type(CustomerEvent)`
    SELECT version, from_status, to_status, actor, reason_code, at
    FROM customer_events
    WHERE order_id = ${id}
    ORDER BY version
  `);
  return events.map(withReason);
}
