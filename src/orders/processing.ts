/*
 * How a worker ends orders in the database. Each function here calls a door function of sql/functions: one statement,
 * one transaction. Orders without an external step are processed without a claim (process-loop.ts). pg-boss claims the
 * jobs that cannot be processed that way, and the jobs that have used up their retries.
 */
import { hostname } from 'node:os';
import type { Job, JobWithMetadata } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS, sqlStateOf } from '../db/errors.ts';
import { inHalves, type Step } from '../db/halving.ts';
import type { Deps } from '../deps.ts';
import { printable } from '../printable.ts';
import { ClaimLost, type JobOutcome } from '../queue/boss.ts';

/** A claimed job of process-order. Its data is part of the fence: it names the transaction that made the job. */
export type OrderJob = Job<{ order_id: string }>;

/** A dead letter of process-order. It carries the retry count and the last error of the original job. */
export type ExhaustedJob = JobWithMetadata<{ order_id: string }>;

/** The result of a door function: the orders that it has changed. */
export const OrderIds = z.object({ order_ids: z.array(z.guid()) });

/** The result of process_orders. `created_until`: when the last of the jobs was created; null without any. */
const Processed = OrderIds.extend({ created_until: z.string().nullable() });

/** How order_events names this process, after "worker:". */
export const WORKER_NAME = `${hostname()}:${process.pid}`;

/** How long a batch waits for a lock, for example on an order that another transaction has locked. */
const LOCK_TIMEOUT_MS = 1000;

/** The SQLSTATE with which a door function refuses a lost claim. */
const CLAIM_LOST = 'OM009';

/** Log drivers break lines at 16 kB. */
const IDS_PER_LINE = 250;

/**
 * Completes up to `batchSize` orders whose jobs are due, and the jobs, without claiming them. Searches only jobs that
 * were created at `createdFrom` or later. When one of them cannot be completed, throws and completes none.
 */
export async function processOrders(
  deps: Pick<Deps, 'pool' | 'log' | 'metrics'>,
  batchSize: number,
  createdFrom = '-infinity',
): Promise<z.infer<typeof Processed>> {
  const processing = deps.pool.one(sql.prepared('process-orders', Processed)`
    SELECT order_ids, created_until FROM process_orders(${batchSize}, ${WORKER_NAME}, ${createdFrom})
  `);
  crashPoint('statement-sent');
  const processed = await processing;
  crashPoint('after-work-commit');
  recordFinished(deps, processed.order_ids, 'COMPLETED');
  return processed;
}

/** Completes claimed orders with their jobs. An order that cannot be completed does not affect the others. */
export function completeOrders(deps: Deps, jobs: OrderJob[]): Promise<JobOutcome[]> {
  return callDoor(deps, jobs, async (some, again) => {
    const completing = deps.pool.one(sql.prepared('complete-orders', OrderIds)`
      SELECT complete_orders(${claims(some)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
    `);
    const { order_ids } = await fenced(some.length, completing);
    crashPoint('after-work-commit');
    recordFinished(deps, order_ids, 'COMPLETED');
    return outcomesFor(some, order_ids);
  });
}

/** Sets orders FAILED whose jobs have used up their retries, and completes the dead letters. */
export function failExhaustedOrders(deps: Deps, jobs: ExhaustedJob[]): Promise<JobOutcome[]> {
  return callDoor(deps, jobs, async (some, again) => {
    const batch = some.map((job) => ({
      id: job.id,
      retry_count: job.retryCount,
      order_id: job.data.order_id,
      reason: reasonOf(job),
    }));
    const failing = deps.pool.one(sql.type(OrderIds)`
      SELECT fail_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
    `);
    const { order_ids } = await fenced(some.length, failing);
    recordFinished(deps, order_ids, 'FAILED');
    return some.map(settled);
  });
}

/**
 * Calls a door for all jobs of a batch at once. When it fails with an error that a single order can cause, calls it for
 * each half, and so on (`inHalves`), so that only such orders fail. Throws any other error: then pg-boss retries the
 * jobs that are not settled yet.
 */
export async function callDoor<J extends OrderJob>(
  { log }: Pick<Deps, 'log'>,
  jobs: J[],
  call: Step<J, JobOutcome>,
): Promise<JobOutcome[]> {
  const outcomes: JobOutcome[] = [];
  for await (const part of inHalves(jobs, call, isOrderError)) {
    if ('outcomes' in part) outcomes.push(...part.outcomes);
    else if (!isOrderError(part.error)) throw part.error;
    else {
      for (const { id } of part.items) {
        log.error({ err: part.error, job_id: id }, 'attempt failed');
        outcomes.push({ id, status: 'failed', output: part.error });
      }
    }
  }
  return outcomes;
}

/** Waits for the call of a fenced door. Throws ClaimLost when the door refuses because a claim is lost. */
export async function fenced<T>(jobs: number, calling: Promise<T>): Promise<T> {
  crashPoint('statement-sent');
  try {
    return await calling;
  } catch (error) {
    if (sqlStateOf(error) === CLAIM_LOST) throw new ClaimLost(jobs);
    throw error;
  }
}

/** Claimed jobs as the JSON argument of the door functions. */
export function claims(jobs: OrderJob[]): string {
  return JSON.stringify(
    jobs.map(({ id, retryCount, data }) => ({ id, retry_count: retryCount, data })),
  );
}

/** How long a door waits for a lock. `again`: a larger batch with these jobs has failed before. */
export function lockTimeoutMs(again: boolean): number {
  return again ? LOCK_TIMEOUT_AGAIN_MS : LOCK_TIMEOUT_MS;
}

/** Whether a single order can have caused the error, unlike, for example, the loss of a connection. */
export function isOrderError(error: unknown): boolean {
  return error instanceof ClaimLost || isRowError(error);
}

/** The outcomes of jobs after a door has changed these orders. The door has settled their jobs, and no others. */
function outcomesFor(jobs: OrderJob[], orderIds: readonly string[]): JobOutcome[] {
  const changed = new Set(orderIds);
  return jobs.map((job) => (changed.has(job.data.order_id) ? settled(job) : nothingToDo(job)));
}

/** The outcome of a job that a door has settled. */
export function settled({ id }: OrderJob): JobOutcome {
  return { id, status: 'completed', settled: true };
}

/** The outcome of a job whose order needs no work: pg-boss completes the job if it is still active. */
export function nothingToDo({ id }: OrderJob): JobOutcome {
  return { id, status: 'completed' };
}

/** Counts and logs ended orders, many per line: one line per order took the largest part of a worker's time. */
export function recordFinished(
  { log, metrics }: Pick<Deps, 'log' | 'metrics'>,
  orderIds: readonly string[],
  status: 'COMPLETED' | 'FAILED',
): void {
  if (orderIds.length === 0) return;
  metrics.ordersFinished.inc({ status }, orderIds.length);
  for (let from = 0; from < orderIds.length; from += IDS_PER_LINE) {
    log.info({ status, order_ids: orderIds.slice(from, from + IDS_PER_LINE) }, 'orders finished');
  }
}

function reasonOf({ sourceRetryCount, sourceOutput }: ExhaustedJob): string {
  const attempts = (sourceRetryCount ?? 0) + 1;
  const message = sourceOutput && 'message' in sourceOutput ? sourceOutput.message : undefined;
  const lastError = typeof message === 'string' ? `: ${printable(message, 300)}` : '';
  return `Gave up after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}${lastError}`;
}
