import { sql } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import type { ApiDeps } from '../deps.ts';
import type { KeyedRequest } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import type { Reply } from '../http/reply.ts';
import { OrderStatus } from './schema.ts';

const Cancelled = z.object({
  outcome: z.enum(['cancelled', 'replayed', 'reused', 'in-use', 'not-found', 'not-cancellable']),
  changed: z.boolean(),
  order_status: OrderStatus.nullable(),
  status: z.int().nullable(),
  headers: z.record(z.string(), z.string()).nullable(),
  body: z.string().nullable(),
});

/**
 * Cancels a PENDING order by one statement (sql/functions/cancel_order.sql); a trigger cancels its job. Cancelling a
 * cancelled order succeeds. An order in any later status is refused. A request that was answered before gets the same
 * reply, independent of the order's status now.
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
  if (result.changed) metrics.ordersCancelled.inc();
  return replyTo(id, result);
}

function replyTo(
  id: string,
  { outcome, order_status, status, headers, body }: z.infer<typeof Cancelled>,
): Reply {
  if (outcome === 'not-found') throw new Problem('order-not-found');
  if (outcome === 'not-cancellable') {
    throw new Problem('order-not-cancellable', `The order is already ${order_status}.`);
  }
  if (outcome === 'in-use') throw new Problem('idempotency-key-in-use');
  if (outcome === 'reused') throw new Problem('idempotency-key-reused');
  if (status === null || headers === null || body === null) {
    throw new TypeError('a reply is never without its parts');
  }
  return { status, headers, body, order_id: id, replayed: outcome === 'replayed' };
}
