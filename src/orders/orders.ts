import { sql, type DatabaseTransactionConnection } from 'slonik';
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import { enqueue } from '../db/boss.ts';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import { Order, OrderEvent, type NewOrder, type OrderFilter } from './schema.ts';

/** Stores a PENDING order together with the job that will process it: both, or neither. */
export async function placeOrder(deps: Deps, userId: string, input: NewOrder): Promise<Order> {
  const [order] = await placeOrders(deps, [{ ...input, id: uuidv7(), user_id: userId }]);
  if (!order) throw new Error('INSERT … RETURNING gave no row');
  return order;
}

/** Stores orders and their jobs in one transaction. The order's id is the job's id. */
export async function placeOrders(
  deps: Deps,
  orders: IdentifiedOrder[],
): Promise<readonly Order[]> {
  const placed = await deps.pool.transaction(async (tx) => {
    const rows = await insertOrders(tx, orders);
    const jobs = rows.map(({ id, xact_id }) => ({ id, data: { order_id: id, xact_id } }));
    await enqueue(deps.boss, tx, 'process-order', jobs);
    return rows.map(({ xact_id, ...order }) => order);
  });
  deps.hints.wake('process-order');
  deps.hints.announce(placed);
  deps.metrics.ordersPlaced.inc(placed.length);
  return placed;
}

/** The transaction is named in the job too, so that anyone can check later that it was the same. */
const PlacedOrder = Order.extend({ xact_id: z.string() });

/** An order that has its id and its user, and is not stored yet. */
export type IdentifiedOrder = NewOrder & { id: string; user_id: string };

// The CTE names the actor before the trigger fires, and saves the round trip of doing it on its own.
function insertOrders(tx: DatabaseTransactionConnection, orders: IdentifiedOrder[]) {
  return tx.many(sql.type(PlacedOrder)`
    WITH acting AS MATERIALIZED (
      SELECT set_config('oms.actor', 'user', true)
    )
    INSERT INTO orders (id, user_id, product_name, amount, currency, metadata)
    SELECT o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata
    FROM acting,
      jsonb_to_recordset(${sql.jsonb(orders)}) AS o(
        id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb
      )
    RETURNING ${columns}, xact_id
  `);
}

/** A page of the user's orders, newest first. */
export function listOrders(
  { pool }: Deps,
  userId: string,
  filter: OrderFilter,
): Promise<readonly Order[]> {
  return pool.any(sql.type(Order)`
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

/** One order of the user. Somebody else's is as absent as one that never was. */
export async function findOrder({ pool }: Deps, userId: string, id: string): Promise<Order> {
  const order = await pool.maybeOne(sql.type(Order)`
    SELECT ${columns} FROM orders WHERE id = ${id} AND user_id = ${userId}
  `);
  if (!order) throw new Problem('order-not-found');
  return order;
}

/** Everything that happened to an order of the user, oldest first. */
export async function listEvents(deps: Deps, userId: string, id: string) {
  await findOrder(deps, userId, id);
  return deps.pool.any(sql.type(OrderEvent)`
    SELECT version, from_status, to_status, actor, reason, at
    FROM order_events
    WHERE order_id = ${id}
    ORDER BY version
  `);
}

/**
 * Cancels a PENDING order, and by a trigger its job, in one transaction. A repeat finds it cancelled and succeeds;
 * anything later is refused.
 */
export async function cancelOrder(deps: Deps, userId: string, id: string): Promise<Order> {
  const { order, changed } = await deps.pool.transaction(async (tx) => {
    const found = await tx.maybeOne(sql.type(Order)`
      SELECT ${columns} FROM orders WHERE id = ${id} AND user_id = ${userId} FOR UPDATE
    `);
    if (!found) throw new Problem('order-not-found');
    if (found.status === 'CANCELLED') return { order: found, changed: false };
    if (found.status !== 'PENDING') {
      throw new Problem('order-not-cancellable', `The order is already ${found.status}.`);
    }
    await actAs(tx, 'user');
    const cancelled = await tx.one(sql.type(Order)`
      UPDATE orders SET status = 'CANCELLED' WHERE id = ${id} RETURNING ${columns}
    `);
    return { order: cancelled, changed: true };
  });
  if (changed) {
    deps.hints.announce([order]);
    deps.metrics.ordersCancelled.inc();
  }
  return order;
}

/** What order_events will record, beside the change itself, for the rest of a transaction. */
export type Acting = {
  reason?: string;
  /** Of a worker: for each order, the job and the number of the attempt, from 1. */
  attempts?: Record<string, [job_id: string, attempt: number]>;
};

/** Names the actor of everything that the rest of the transaction does to orders. */
export async function actAs(
  tx: DatabaseTransactionConnection,
  actor: string,
  { reason = '', attempts = {} }: Acting = {},
) {
  await tx.query(sql.unsafe`
    SELECT set_config('oms.actor', ${actor}, true), set_config('oms.reason', ${reason}, true),
      set_config('oms.attempts', ${JSON.stringify(attempts)}, true)
  `);
}

export const columns = sql.fragment`
  id, status, version, user_id, product_name, amount, currency, metadata, created_at, updated_at
`;
