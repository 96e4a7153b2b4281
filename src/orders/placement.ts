import { sql } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import type { ApiDeps } from '../deps.ts';
import type { KeyedRequest, Reply } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { Keyed, outcomeOf } from './idempotency.ts';
import type { NewOrder } from './schema.ts';

/** A new order with its id and its user, not stored yet. */
export type IdentifiedOrder = NewOrder & { id: string; user_id: string };

/** An order to be placed, and the Idempotency-Key of its request, if it has one. */
export type Placement = {
  id: string;
  /** The order as JSON without its closing brace: place_orders gets it with the key added, the reply with the times. */
  json: string;
  request: KeyedRequest | undefined;
};

/** Prepares an order for `placeOrders`. */
export function createPlacement(order: IdentifiedOrder, request?: KeyedRequest): Placement {
  const { id, user_id, product_name, amount, currency, metadata } = order;
  const content = { user_id, product_name, amount, currency, metadata };
  const json = JSON.stringify({ id, status: 'PENDING', version: 1, ...content });
  return { id, json: json.slice(0, -1), request };
}

const Placed = z.object({
  placed: z.int(),
  created_at: z.string().nullable(),
  keyed: z.array(Keyed).nullable(),
});

/**
 * Stores orders, their jobs and the replies of those with a key, by one statement: all or none
 * (sql/functions/place_orders.sql). Returns the reply or the problem for each, in order. A refused key does not affect
 * the other orders. The statement waits for a lock for at most `lockTimeoutMs`.
 */
export async function placeOrders(
  { config, pool, hints, metrics }: Pick<ApiDeps, 'config' | 'pool' | 'hints' | 'metrics'>,
  placements: Placement[],
  lockTimeoutMs = config.INTAKE_LOCK_TIMEOUT_MS,
): Promise<(Reply | Problem)[]> {
  const isKeyed = placements.some(({ request }) => request !== undefined);
  const placing = pool.one(sql.prepared('place-orders', Placed)`
    SELECT placed, created_at, keyed
    FROM place_orders(
      ${batchJson(placements)}::jsonb, ${lockTimeoutMs},
      ${isKeyed ? config.IDEMPOTENCY_KEY_TTL_HOURS : null}
    )
  `);
  crashPoint('statement-sent');
  const { placed, created_at, keyed } = await placing;
  crashPoint('after-commit');
  if (placed > 0) {
    hints.wake('process-order');
    metrics.ordersPlaced.inc(placed);
  }
  const times = `,"created_at":"${created_at}","updated_at":"${created_at}"}`;
  if (!keyed) return placements.map((placement) => placedReply(placement, times));
  const outcomes = new Map(keyed.map((each) => [each.id, outcomeOf(each)]));
  return placements.map((placement) => outcomes.get(placement.id) ?? placedReply(placement, times));
}

function batchJson(placements: Placement[]): string {
  const elements = placements.map(({ json, request }) =>
    request ? `${json},${JSON.stringify(request).slice(1)}` : `${json}}`,
  );
  return `[${elements.join()}]`;
}

function placedReply({ id, json }: Placement, times: string): Reply {
  const headers = { Location: `/orders/${id}` };
  return { status: 201, headers, body: json + times, order_id: id, replayed: false };
}
