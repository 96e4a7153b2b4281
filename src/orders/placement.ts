/*
 * How an order is placed. A route calls `placeOrder`. The intake, a batcher, collects the orders that arrive while a
 * batch is in flight. `placeOrders` stores a batch by one statement (sql/functions/place_orders.sql).
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import { Abandoned, Batcher, BatcherFull, type Client } from '../db/batcher.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS } from '../db/errors.ts';
import type { ApiDeps } from '../deps.ts';
import { ClientGone } from '../http/client-gone.ts';
import type { KeyedRequest } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { ReplyColumns, replyOrProblem } from './idempotency.ts';
import type { Reply } from '../http/reply.ts';
import type { NewOrder } from './schema.ts';

/** The batcher of new orders in an API process. It needs no close: it is empty when every request is answered. */
export type Intake = Pick<Batcher<Placement, Reply>, 'add' | 'waiting' | 'oldestMs'>;

/** Called after the commit of a batch that placed orders, with the id of one of them and their number. */
type OnPlaced = (orderId: string, orders: number) => void;

type PlacementDeps = Pick<ApiDeps, 'config' | 'pool' | 'wakeUps' | 'metrics'>;

/**
 * Stores a PENDING order, its job, and the reply if the request has a key: all or none. A repeated request with the
 * same key gets the reply to the first one, and places nothing. Throws the problem `overloaded` when too many orders
 * are waiting. Drops a waiting order, and throws ClientGone, when its client has disconnected or got another reply.
 */
export async function placeOrder(
  { intake }: { intake: Intake },
  userId: string,
  input: NewOrder,
  request?: KeyedRequest,
  client?: Client,
): Promise<Reply> {
  const placement = createPlacement({ ...input, id: randomUUIDv7(), user_id: userId }, request);
  try {
    return await intake.add(placement, client);
  } catch (error) {
    if (error instanceof BatcherFull)
      throw new Problem('overloaded', 'Too many orders are waiting.');
    if (error instanceof Abandoned) throw new ClientGone();
    throw error;
  }
}

/** A new order with its id and its user, not stored yet. */
export type IdentifiedOrder = NewOrder & { id: string; user_id: string };

/** An order to be placed, and the Idempotency-Key of its request, if it has one. */
export type Placement = {
  id: string;
  /** The order as JSON without its closing brace. The key is added for place_orders, the times for the reply. */
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

/** Creates the intake of an API process. It stores each batch by `placeOrders`, and then calls `onPlaced`. */
export function createIntake(deps: PlacementDeps, onPlaced?: OnPlaced): Intake {
  const { config, metrics } = deps;
  return new Batcher<Placement, Reply>({
    inFlightMax: config.INTAKE_IN_FLIGHT_MAX,
    batchSizeMax: config.INTAKE_BATCH_SIZE_MAX,
    waitingMax: config.INTAKE_QUEUE_MAX,
    async commit(placements, again) {
      crashPoint('batch-taken');
      const lockTimeoutMs = again ? LOCK_TIMEOUT_AGAIN_MS : config.INTAKE_LOCK_TIMEOUT_MS;
      const outcomes = await placeOrders(deps, placements, lockTimeoutMs);
      metrics.intakeBatch.observe(placements.length);
      if (onPlaced) {
        const placed = outcomes.filter(isPlaced);
        if (placed[0]) onPlaced(placed[0].order_id, placed.length);
      }
      return outcomes;
    },
    // A lock timeout counts: usually one user's row is locked. The other orders then wait longer, but do not fail.
    isItemError: isRowError,
  });
}

/** Whether an outcome is the reply to an order that this batch has placed. */
function isPlaced(outcome: Reply | Problem): outcome is Reply & { order_id: string } {
  return 'replayed' in outcome && !outcome.replayed && typeof outcome.order_id === 'string';
}

/** The entry of place_orders for an order whose request has a key. */
const KeyedEntry = ReplyColumns.extend({
  id: z.string(),
  outcome: z.enum(['placed', 'replayed', 'reused', 'in-use']),
  order_id: z.string().nullable(),
});

/** The result of place_orders. */
const Placed = z.object({
  placed: z.int(),
  created_at: z.string().nullable(),
  keyed: z.array(KeyedEntry).nullable(),
});

/**
 * Stores orders, their jobs and the replies of those with a key, by one statement: all or none
 * (sql/functions/place_orders.sql). Returns the reply or the problem for each, in order. A refused key does not affect
 * the other orders. The statement waits for a lock for at most `lockTimeoutMs`.
 */
export async function placeOrders(
  { config, pool, wakeUps, metrics }: PlacementDeps,
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
    wakeUps.send('process-order');
    metrics.ordersPlaced.inc(placed);
  }
  const times = `,"created_at":"${created_at}","updated_at":"${created_at}"}`;
  if (!keyed) return placements.map((placement) => placedReply(placement, times));
  const replies = new Map(
    keyed.map((entry) => [entry.id, replyOrProblem(entry.outcome, entry, entry.order_id)]),
  );
  return placements.map((placement) => replies.get(placement.id) ?? placedReply(placement, times));
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
