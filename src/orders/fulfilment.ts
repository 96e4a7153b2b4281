/*
 * The external step: with FULFILMENT_URL set, each order is POSTed there between PROCESSING and
 * COMPLETED. No transaction is open during the call. The call happens at least once, and carries the
 * order's id as Idempotency-Key. Its effect on the database happens once, fenced to the attempt.
 */
import pLimit, { type LimitFunction } from 'p-limit';
import { sql } from 'slonik';
import { Webhook } from 'standardwebhooks';
import { crashPoint } from '../crash-point.ts';
import { backOffSeconds, ClaimLost, type Outcome } from '../queue/boss.ts';
import type { WorkerDeps } from '../deps.ts';
import {
  claims,
  lockTimeoutMs,
  nothingToDo,
  settled,
  togetherOrApart,
  WORKER_NAME,
  type OrderJob,
} from './processing.ts';
import { Order } from './schema.ts';
import { createSettlement, type End, type Retry, type Settlement } from './settlement.ts';

/** 4xx that mean "not now" rather than "never". */
const RETRIABLE = new Set([408, 409, 425, 429]);
const RETRY_AFTER_SECONDS_MAX = 3600;
const REASON_LENGTH_MAX = 300;

/** The outcome of a call. `retry_after_seconds` is set when the answer has a Retry-After. */
type Answer =
  | { outcome: 'accepted' }
  | { outcome: 'refused'; reason: string }
  | { outcome: 'retry'; reason: string; retry_after_seconds?: number };

/** The state that the lanes of a process share: the limit on calls, and the settlement of the answers. */
type Desk = {
  limit: LimitFunction;
  settlement: Settlement;
  inHand: number;
  onRoom: () => void;
};

const desks = new WeakMap<WorkerDeps['pool'], Desk>();

// Keyed by the pool, because a process has exactly one; deps are copied for every batch.
function deskOf(deps: WorkerDeps): Desk {
  const desk = desks.get(deps.pool) ?? {
    limit: pLimit(deps.config.FULFILMENT_CONCURRENCY),
    settlement: createSettlement(deps),
    inHand: 0,
    onRoom: () => undefined,
  };
  desks.set(deps.pool, desk);
  return desk;
}

/**
 * Returns a function that says whether this process can take more orders; `onRoom` is called when that may have
 * changed. A slow answer blocks only the lane that claimed the order.
 */
export function roomForOrders(deps: WorkerDeps, onRoom: () => void): () => boolean {
  const desk = deskOf(deps);
  desk.onRoom = onRoom;
  return () => desk.inHand < deps.config.FULFILMENT_CONCURRENCY;
}

/** Processes a batch through FULFILMENT_URL. The concurrency is bounded for the whole process. */
export async function fulfilOrders(deps: WorkerDeps, jobs: OrderJob[]): Promise<Outcome[]> {
  const desk = deskOf(deps);
  desk.inHand += jobs.length;
  const taking = takeBatch(deps, jobs);
  return Promise.all(
    jobs.map(async (job) => {
      try {
        const { orders, results } = await taking;
        const order = orders.get(job.data.order_id);
        if (order) return await desk.limit(() => fulfilOrder(deps, desk, job, order));
        return results.find(({ id }) => id === job.id) ?? nothingToDo(job);
      } finally {
        desk.inHand -= 1;
        desk.onRoom();
      }
    }),
  );
}

async function takeBatch(deps: WorkerDeps, jobs: OrderJob[]) {
  const orders = new Map<string, Order>();
  const results = await togetherOrApart(deps, jobs, async (some, again) => {
    for (const order of await takeIntoProcessing(deps, some, again)) orders.set(order.id, order);
    return []; // the answers settle them
  });
  return { orders, results };
}

/** Commits the orders as PROCESSING and returns them, without those that are cancelled or finished. */
async function takeIntoProcessing(
  { pool }: WorkerDeps,
  jobs: OrderJob[],
  again: boolean,
): Promise<readonly Order[]> {
  const taking = pool.any(sql.prepared('take-orders', Order)`
    SELECT id, status, version, user_id, product_name, amount, currency, metadata, created_at, updated_at
    FROM take_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)})
  `);
  crashPoint('statement-sent');
  const orders = await taking;
  crashPoint('after-take');
  return orders;
}

async function fulfilOrder(
  deps: WorkerDeps,
  { settlement }: Desk,
  job: OrderJob,
  order: Order,
): Promise<Outcome> {
  const log = deps.log.child({ order_id: order.id, job_id: job.id, attempt: job.retryCount + 1 });
  const verdict = verdictOn(job, await requestFulfilment(deps, order, job.signal));
  crashPoint('after-call');
  try {
    if (verdict.status === 'PROCESSING') {
      log.warn({ reason: verdict.reason }, 'fulfilment to be retried');
      // A worker that is stopping has already returned the job to the queue.
      if (!job.signal.aborted) await settlement.retry(job, verdict);
      return failed(job, verdict.reason);
    }
    if (await settlement.end(job, verdict)) return settled(job);
    return nothingToDo(job); // the order has already ended
  } catch (err) {
    // Rolled back. The attempt that took the job over settles it now, or pg-boss retries it.
    log.warn({ err, claim_lost: err instanceof ClaimLost }, 'fulfilment not recorded');
    return { id: job.id, status: 'failed', output: err };
  }
}

function failed({ id }: OrderJob, message: string): Outcome {
  return { id, status: 'failed', output: { message } };
}

function verdictOn(job: OrderJob, answer: Answer): End | Retry {
  if (answer.outcome === 'accepted') return { status: 'COMPLETED' };
  const { reason } = answer;
  if (answer.outcome === 'refused') return { status: 'FAILED', reason };
  const { retry_after_seconds: pause } = answer;
  if (pause === undefined) return { status: 'PROCESSING', reason };
  // Not sooner than the back-off without the header.
  const seconds = Math.max(pause, backOffSeconds('process-order', job));
  return { status: 'PROCESSING', reason, seconds };
}

async function requestFulfilment(
  { config }: Pick<WorkerDeps, 'config'>,
  order: Order,
  signal: AbortSignal,
): Promise<Answer> {
  const { FULFILMENT_URL = '', FULFILMENT_SECRET = '', FULFILMENT_TIMEOUT_MS } = config;
  const body = JSON.stringify(order);
  const at = new Date();
  try {
    const response = await fetch(FULFILMENT_URL, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(FULFILMENT_TIMEOUT_MS)]),
      body,
      headers: {
        'content-type': 'application/json',
        'idempotency-key': order.id,
        'webhook-id': order.id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': new Webhook(FULFILMENT_SECRET).sign(order.id, at, body),
      },
    });
    return await readAnswer(response);
  } catch (error) {
    return { outcome: 'retry', reason: `fulfilment did not answer: ${describe(error)}` };
  }
}

async function readAnswer(response: Response): Promise<Answer> {
  const { status, headers, ok } = response;
  // Always read the body, so that the connection can be reused. Only the status decides: a body that breaks off or
  // never arrives does not change the outcome.
  const words = await beginningOf(response).catch(() => '');
  const reason = `fulfilment answered ${status} ${words}`.trimEnd();
  if (ok) return { outcome: 'accepted' };
  if (status >= 400 && status < 500 && !RETRIABLE.has(status))
    return { outcome: 'refused', reason };
  const pause = parseRetryAfter(headers.get('retry-after'));
  return { outcome: 'retry', reason, ...(pause !== undefined && { retry_after_seconds: pause }) };
}

/** The beginning of a body, at most REASON_LENGTH_MAX characters. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const { value } = await reader.read();
  await reader.cancel();
  const text = new TextDecoder().decode(value).replaceAll('\0', '');
  return text.replace(/\s+/g, ' ').slice(0, REASON_LENGTH_MAX).toWellFormed();
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3) to seconds from now; undefined when neither. */
export function parseRetryAfter(value: string | null, now = Date.now()): number | undefined {
  if (!value) return undefined;
  const isDate = value.endsWith(' GMT') && !Number.isNaN(Date.parse(value));
  if (!isDate && !/^\d+$/.test(value)) return undefined;
  const seconds = isDate ? (Date.parse(value) - now) / 1000 : Number(value);
  return Math.min(Math.max(Math.ceil(seconds), 0), RETRY_AFTER_SECONDS_MAX);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
