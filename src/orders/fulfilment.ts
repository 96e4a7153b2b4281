/*
 * The external step: with FULFILMENT_URL set, each order is POSTed there between PROCESSING and COMPLETED. No
 * transaction is open during the call. The call happens at least once, and carries the order's id as Idempotency-Key.
 * Its effect on the database happens once, fenced to the attempt.
 */
import pLimit from 'p-limit';
import { sql } from 'slonik';
import { crashPoint } from '../crash-point.ts';
import type { WorkerDeps } from '../deps.ts';
import { backOffSeconds, ClaimLost, type JobOutcome } from '../queue/boss.ts';
import type { Handler } from '../queue/handler.ts';
import { requestFulfilment, type Answer } from './fulfilment-request.ts';
import {
  callDoor,
  claims,
  lockTimeoutMs,
  nothingToDo,
  settled,
  WORKER_NAME,
  type OrderJob,
} from './processing.ts';
import { StoredOrder, type Order } from './schema.ts';
import { createSettlement, type End, type Retry, type Settlement } from './settlement.ts';

/**
 * Creates the function that processes batches through FULFILMENT_URL. It limits the calls that the process makes at the
 * same time, and settles answers of all batches together. No order waits for the answers of the others in its batch:
 * `ended` is called for each job as soon as it has ended.
 */
export function createFulfilment(deps: WorkerDeps): Handler<'process-order', OrderJob>['work'] {
  const limit = pLimit(deps.config.FULFILMENT_CONCURRENCY);
  const settlement = createSettlement(deps);
  return async (jobs, ended) => {
    const { orders, outcomes } = await takeOrders(deps, jobs);
    return Promise.all(
      jobs.map(async (job, index) => {
        const order = orders.get(job.data.order_id);
        const outcome = order
          ? await limit(() => fulfilOrder(deps, settlement, job, order))
          : (outcomes[index] as JobOutcome);
        ended();
        return outcome;
      }),
    );
  };
}

/**
 * Sets the orders of a batch to PROCESSING. Returns the orders that are PROCESSING now, by id. `outcomes` has an entry
 * for each job. Use it only for a job whose order is missing from `orders`: the order has ended, or cannot be set to
 * PROCESSING.
 */
async function takeOrders(deps: WorkerDeps, jobs: OrderJob[]) {
  const orders = new Map<string, Order>();
  const outcomes = await callDoor(deps, jobs, async (some, again) => {
    const taking = deps.pool.any(sql.prepared('take-orders', StoredOrder)`
      SELECT id, status, version, user_id, product_name, amount, currency, metadata::text AS metadata, created_at,
        updated_at
      FROM take_orders(${claims(some)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)})
    `);
    crashPoint('statement-sent');
    for (const order of await taking) orders.set(order.id, order);
    crashPoint('after-take');
    return some.map(nothingToDo);
  });
  return { orders, outcomes };
}

async function fulfilOrder(
  deps: WorkerDeps,
  settlement: Settlement,
  job: OrderJob,
  order: Order,
): Promise<JobOutcome> {
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
    // If another attempt took the job over, that attempt settles it. Otherwise pg-boss retries it.
    log.warn({ err, claim_lost: err instanceof ClaimLost }, 'fulfilment not recorded');
    return { id: job.id, status: 'failed', output: err };
  }
}

function failed({ id }: OrderJob, message: string): JobOutcome {
  return { id, status: 'failed', output: { message } };
}

function endOrRetry(job: OrderJob, answer: Answer): End | Retry {
  if (answer.outcome === 'accepted') return { status: 'COMPLETED' };
  const { reason } = answer;
  if (answer.outcome === 'refused') return { status: 'FAILED', reason };
  const { retry_after_seconds: pause } = answer;
  if (pause === undefined) return { status: 'PROCESSING', reason };
  // The pause never makes the back-off shorter.
  const seconds = Math.max(pause, backOffSeconds('process-order', job));
  return { status: 'PROCESSING', reason, seconds };
}
