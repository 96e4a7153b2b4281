import type { Reply } from '../http/idempotency.ts';
import type { Order } from './schema.ts';

/** The reply to a request that has placed an order. */
export function placedReply(order: Order): Reply {
  return { ...changedReply(order), status: 201, headers: { Location: `/orders/${order.id}` } };
}

/** The reply to a request after which an order is as its client wanted it. */
export function changedReply(order: Order): Reply {
  const body = JSON.stringify(order);
  return { status: 200, headers: {}, body, order_id: order.id, replayed: false };
}
