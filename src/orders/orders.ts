import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import { enqueue } from '../db/boss.ts';
import { jsonbRows } from '../db/jsonb.ts';
import type { Deps } from '../deps.ts';
import type { KeyedRequest, Reply } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { claimKeys, storeReplies } from './idempotency.ts';
import { changedReply, placedReply } from './replies.ts';
import { Order, OrderEvent, type NewOrder, type OrderFilter } from './schema.ts';

/**
 * Stores orders and their jobs in one transaction. The order's id is the job's id. Says for each, in order,
 * what its request is answered or refused with; a key that is refused leaves the other orders alone. No lock is
 * waited for longer than `lockTimeoutMs`.
 */
export async function placeOrders(
  deps: Omit<Deps, 'intake'>,
  orders: IdentifiedOrder[],
  requests: (KeyedRequest | undefined)[] = [],
  lockTimeoutMs = deps.config.INTAKE_LOCK_TIMEOUT_MS,
): Promise<(Reply | Problem)[]> {
  const { outcomes, placed } = await deps.pool.transaction(async (tx) => {
    const claims = await claimKeys(tx, requests);
    const fresh = orders.filter((_, index) => !claims[index]);
    crashPoint('before-insert');
    const { created_at, xact_id } = await insertOrders(tx, fresh, lockTimeoutMs);
    crashPoint('after-insert');
    const jobs = fresh.map(({ id }) => ({ id, data: { order_id: id, xact_id } }));
    if (jobs.length > 0) await enqueue(deps.boss, tx, 'process-order', jobs);
    crashPoint('after-enqueue');
    const answers = orders.map(
      (order, index) => claims[index] ?? placedReply(asStored(order, created_at)),
    );
    await storeReplies(deps, tx, requests, answers);
    return { outcomes: answers, placed: fresh };
  });
  crashPoint('after-commit');
  if (placed.length === 0) return outcomes;
  deps.hints.wake('process-order');
  deps.hints.announce(placed.map(({ id }) => ({ id, ...AS_PLACED })));
  deps.metrics.ordersPlaced.inc(placed.length);
  return outcomes;
}

/** An order that has its id and its user, and is not stored yet. */
export type IdentifiedOrder = NewOrder & { id: string; user_id: string };

const AS_PLACED = { status: 'PENDING', version: 1 } as const;

function asStored(order: IdentifiedOrder, created_at: string): Order {
  const { id, user_id, product_name, amount, currency, metadata } = order;
  const content = { user_id, product_name, amount, currency, metadata };
  return { id, ...AS_PLACED, ...content, created_at, updated_at: created_at };
}

/** The transaction is named in the jobs too, so that anyone can check later that it was the same. */
const Placed = z.object({ orders: z.int(), created_at: z.iso.datetime(), xact_id: z.string() });

// The CTE names the actor before the trigger fires, says how long a lock may be waited for, and saves the round
// trip of doing it on its own. What the database adds to new orders is the same for all of a transaction, so it
// is not sent back for each.
async function insertOrders(
  tx: DatabaseTransactionConnection,
  orders: IdentifiedOrder[],
  lockTimeoutMs: number,
): Promise<Omit<z.infer<typeof Placed>, 'orders'>> {
  if (orders.length === 0) return { created_at: '', xact_id: '' };
  const { orders: count, ...added } = await tx.one(sql.prepared('place-orders', Placed)`
    WITH acting AS MATERIALIZED (
      SELECT set_config('oms.actor', 'user', true),
        set_config('lock_timeout', ${String(lockTimeoutMs)}, true)
    ), placed AS (
      INSERT INTO orders (id, user_id, product_name, amount, currency, metadata)
      SELECT o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata
      FROM acting,
        jsonb_to_recordset(${jsonbRows(orders)}) AS o(
          id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb
        )
      RETURNING created_at, xact_id
    )
    SELECT count(*) AS orders, min(created_at) AS created_at, min(xact_id::text) AS xact_id FROM placed
  `);
  if (count !== orders.length) throw new Error(`${count} of ${orders.length} orders were stored`);
  return added;
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
 * anything later is refused. A request that was answered before gets the same reply, whatever the order is now.
 */
export async function cancelOrder(
  deps: Deps,
  userId: string,
  id: string,
  request?: KeyedRequest,
): Promise<Reply> {
  // A refusal is returned, not thrown: it has written nothing, and a transaction that fails costs its connection.
  const { reply, cancelled } = await deps.pool.transaction(async (tx) => {
    const [claim] = await claimKeys(tx, [request]);
    if (claim) return { reply: claim, cancelled: null };
    const outcome = await cancelLocked(tx, userId, id);
    if (outcome instanceof Problem) return { reply: outcome, cancelled: null };
    const answer = changedReply(outcome.order);
    await storeReplies(deps, tx, [request], [answer]);
    return { reply: answer, cancelled: outcome.changed ? outcome.order : null };
  });
  if (reply instanceof Problem) throw reply;
  if (cancelled) {
    deps.hints.announce([cancelled]);
    deps.metrics.ordersCancelled.inc();
  }
  return reply;
}

async function cancelLocked(
  tx: DatabaseTransactionConnection,
  userId: string,
  id: string,
): Promise<{ order: Order; changed: boolean } | Problem> {
  const found = await tx.maybeOne(sql.type(Order)`
    SELECT ${columns} FROM orders WHERE id = ${id} AND user_id = ${userId} FOR UPDATE
  `);
  if (!found) return new Problem('order-not-found');
  if (found.status === 'CANCELLED') return { order: found, changed: false };
  if (found.status !== 'PENDING') {
    return new Problem('order-not-cancellable', `The order is already ${found.status}.`);
  }
  // As in insertOrders, the CTE names the actor before the trigger fires.
  const cancelled = await tx.one(sql.type(Order)`
    WITH acting AS MATERIALIZED (
      SELECT set_config('oms.actor', 'user', true)
    )
    UPDATE orders SET status = 'CANCELLED' FROM acting WHERE id = ${id} RETURNING ${columns}
  `);
  return { order: cancelled, changed: true };
}

export const columns = sql.fragment`
  id, status, version, user_id, product_name, amount, currency, metadata, created_at, updated_at
`;
