import { sql } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import type { ApiDeps } from '../deps.ts';
import type { KeyedRequest } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { ReplyColumns, replyOrProblem } from './idempotency.ts';
import type { Reply } from '../http/reply.ts';
import { OrderStatus } from './schema.ts';

const Cancelled = ReplyColumns.extend({
  outcome: z.enum(['cancelled', 'replayed', 'reused', 'in-use', 'not-found', 'not-cancellable']),
  changed: z.boolean(),
  order_status: OrderStatus.nullable(),
});

/**
 * Cancels a PENDING order by one statement (sql/functions/cancel_order.sql); a trigger cancels its job. Cancelling a
 * cancelled order succeeds. An order in any other status is refused. A repeated request with the same key gets the
 * reply to the first one, also when the order's status has changed since.
 */
export async function cancelOrder(
  { pool, config, metrics }: Pick<ApiDeps, 'pool' | 'config' | 'metrics'>,
  userId: string,
  id: string,
  request?: KeyedRequest,
): Promise<Reply> {
  const { method = null, path = null, key = null, fingerprint } = request ?? {};
  const cancelling = pool.one(sql.prepared('cancel-order', Cancelled)`
    SELECT outcome, changed, order_status, status, headers, body
    FROM cancel_order(
      ${id}::uuid, ${userId}::uuid, ${method}, ${path}, ${key}, decode(${fingerprint ?? null}, 'hex'),
      ${request ? config.IDEMPOTENCY_KEY_TTL_HOURS : null}
    )
  `);
  crashPoint('statement-sent');
  const result = await cancelling;
  const { outcome, changed, order_status } = result;
  if (changed) metrics.ordersCancelled.inc();
  if (outcome === 'not-found') throw new Problem('order-not-found');
  if (outcome === 'not-cancellable') {
    throw new Problem('order-not-cancellable', `The order is already ${order_status}.`);
  }
  const reply = replyOrProblem(outcome, result, id);
  if (reply instanceof Problem) throw reply;
  return reply;
}
