/*
 * The external step: with FULFILMENT_URL set, each order is POSTed there between PROCESSING and
 * COMPLETED. No transaction is open during the call. The call happens at least once, and carries the
 * order's id as Idempotency-Key. Its effect on the database happens once, fenced to the attempt.
 */
import pLimit from 'p-limit';
import { sql } from 'slonik';
import { crashPoint } from '../crash-point.ts';
import type { WorkerDeps } from '../deps.ts';
import { backOffSeconds, ClaimLost, type Outcome } from '../queue/boss.ts';
import type { Handler } from '../queue/handler.ts';
import { requestFulfilment, type Answer } from './fulfilment-request.ts';
import {
  claims,
  lockTimeoutMs,
  nothingToDo,
  settled,
  settleTogether,
  WORKER_NAME,
  type OrderJob,
} from './processing.ts';
import { Order } from './schema.ts';
import { createSettlement, type End, type Retry, type Settlement } from './settlement.ts';

/**
 * Creates the function that processes batches through FULFILMENT_URL. It bounds the concurrent calls of the process, and
 * settles answers of all batches together. It calls `ended` for each job: a slow answer delays no other order.
 */
export function createFulfilment(deps: WorkerDeps): Handler<'process-order', OrderJob>['work'] {
  const limit = pLimit(deps.config.FULFILMENT_CONCURRENCY);
  const settlement = createSettlement(deps);
  return async (jobs, ended) => {
    const taking = takeBatch(deps, jobs);
    return Promise.all(
      jobs.map(async (job) => {
        try {
          const { orders, results } = await taking;
          const order = orders.get(job.data.order_id);
          if (order) return await limit(() => fulfilOrder(deps, settlement, job, order));
          return results.find(({ id }) => id === job.id) ?? nothingToDo(job);
        } finally {
          ended();
        }
      }),
    );
  };
}

async function takeBatch(deps: WorkerDeps, jobs: OrderJob[]) {
  const orders = new Map<string, Order>();
  const results = await settleTogether(deps, jobs, async (some, again) => {
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
  settlement: Settlement,
  job: OrderJob,
  order: Order,
): Promise<Outcome> {
  const log = deps.log.child({ order_id: order.id, job_id: job.id, attempt: job.retryCount + 1 });
  const next = endOrRetry(job, await requestFulfilment(deps, order, job.signal));
  crashPoint('after-call');
  try {
    if (next.status === 'PROCESSING') {
      log.warn({ reason: next.reason }, 'fulfilment to be retried');
      // A worker that is stopping has already returned the job to the queue.
      if (!job.signal.aborted) await settlement.retry(job, next);
      return failed(job, next.reason);
    }
    if (await settlement.end(job, next)) return settled(job);
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

function endOrRetry(job: OrderJob, answer: Answer): End | Retry {
  if (answer.outcome === 'accepted') return { status: 'COMPLETED' };
  const { reason } = answer;
  if (answer.outcome === 'refused') return { status: 'FAILED', reason };
  const { retry_after_seconds: pause } = answer;
  if (pause === undefined) return { status: 'PROCESSING', reason };
  // Not sooner than the back-off without the header.
  const seconds = Math.max(pause, backOffSeconds('process-order', job));
  return { status: 'PROCESSING', reason, seconds };
}
