/*
 * How a worker ends orders in the database. It calls the door functions in sql/functions; each call is one statement
 * and one transaction. Orders without an external step are processed without a claim (process-loop.ts). Jobs that
 * cannot be processed without a claim, and jobs that have used up their retries, are claimed by pg-boss.
 */
import { hostname } from 'node:os';
import type { Job, JobAttempt, JobWithMetadata } from 'pg-boss';
import { sql, type DatabasePool } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import { ClaimLost, type Outcome } from '../queue/boss.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS, sqlStateOf } from '../db/errors.ts';
import { inHalves } from '../db/halving.ts';
import type { Deps } from '../deps.ts';

/** A claimed job of process-order. Its data is part of the fence: it names the transaction that made the job. */
export type OrderJob = Job<{ order_id: string }>;

/** A dead letter of process-order. It carries the retry count and the last error of the original job. */
export type ExhaustedJob = JobWithMetadata<{ order_id: string }>;

/** The result of a door function: the orders that it has changed. */
export const OrderIds = z.object({ order_ids: z.array(z.guid()) });

/** How long a batch waits for a lock, for example on an order that another transaction has locked. */
const LOCK_TIMEOUT_MS = 1000;

/** How order_events names this process, after "worker:". */
export const WORKER_NAME = `${hostname()}:${process.pid}`;

/** The SQLSTATE with which the door functions report a lost claim. */
const CLAIM_LOST = 'OM009';

/** The result of process_orders. `created_until`: when the last of the jobs was created; null without any. */
const Processed = OrderIds.extend({ created_until: z.string().nullable() });

/**
 * Completes up to `batchSize` orders whose jobs are due, and the jobs, without claiming them. Searches only jobs that
 * were created at `createdFrom` or later. Throws when one of the orders cannot be completed; then none is.
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
export function completeOrders(deps: Deps, jobs: OrderJob[]): Promise<Outcome[]> {
  return settleTogether(deps, jobs, async (some, again) => {
    const { order_ids } = await fenced(deps.pool, some.length, (pool) =>
      pool.one(sql.prepared('complete-orders', OrderIds)`
        SELECT complete_orders(${claims(some)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
      `),
    );
    crashPoint('after-work-commit');
    recordFinished(deps, order_ids, 'COMPLETED');
    return attemptsFor(some, order_ids);
  });
}

/** Sets orders FAILED whose jobs have used up their retries, and completes the dead letters. */
export function failExhaustedOrders(deps: Deps, jobs: ExhaustedJob[]): Promise<Outcome[]> {
  return settleTogether(deps, jobs, async (some, again) => {
    const batch = some.map((job) => ({
      id: job.id,
      retry_count: job.retryCount,
      order_id: job.data.order_id,
      reason: reasonOf(job),
    }));
    const { order_ids } = await fenced(deps.pool, some.length, (pool) =>
      pool.one(sql.type(OrderIds)`
        SELECT fail_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
      `),
    );
    recordFinished(deps, order_ids, 'FAILED');
    return some;
  });
}

/** Claimed jobs as the JSON argument of the door functions. */
export function claims(jobs: OrderJob[]): string {
  return JSON.stringify(
    jobs.map(({ id, retryCount, data }) => ({ id, retry_count: retryCount, data })),
  );
}

/** How long a door waits for a lock. `again`: a larger batch with these jobs has already timed out. */
export function lockTimeoutMs(again: boolean): number {
  return again ? LOCK_TIMEOUT_AGAIN_MS : LOCK_TIMEOUT_MS;
}

/** Calls a fenced door. Throws ClaimLost when the door refuses because a claim is lost. */
export async function fenced<T>(
  pool: DatabasePool,
  jobs: number,
  call: (pool: DatabasePool) => Promise<T>,
): Promise<T> {
  try {
    const calling = call(pool);
    crashPoint('statement-sent');
    return await calling;
  } catch (error) {
    if (sqlStateOf(error) === CLAIM_LOST) throw new ClaimLost('process-order', jobs);
    throw error;
  }
}

/**
 * Calls a door for a whole batch, all or nothing. An order that makes it fail fails alone: see `inHalves`. `call` returns
 * the attempts that the door has settled; its argument `again` is true for a part of a batch that failed.
 */
export async function settleTogether<J extends OrderJob>(
  deps: Pick<Deps, 'log'>,
  jobs: J[],
  call: (jobs: J[], again: boolean) => Promise<readonly JobAttempt[]>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const step = async (some: J[], again: boolean): Promise<Outcome[]> => {
    const done = new Set((await call(some, again)).map(({ id }) => id));
    return some.map((job) => (done.has(job.id) ? settled(job) : nothingToDo(job)));
  };
  for await (const part of inHalves<J, Outcome>(jobs, step, isIsolatable)) {
    for (const [index, { id }] of part.items.entries()) {
      const outcome = part.outcomes[index] as Outcome | Error;
      if (!(outcome instanceof Error)) outcomes.push(outcome);
      else if (!isIsolatable(outcome)) throw outcome;
      else {
        deps.log.error({ err: outcome, job_id: id }, 'order failed');
        outcomes.push({ id, status: 'failed', output: outcome });
      }
    }
  }
  return outcomes;
}

function reasonOf({ sourceRetryCount, sourceOutput }: ExhaustedJob): string {
  const tries = (sourceRetryCount ?? 0) + 1;
  const message = sourceOutput && 'message' in sourceOutput ? sourceOutput.message : undefined;
  const lastError = typeof message === 'string' ? `: ${message.slice(0, 300).toWellFormed()}` : '';
  return `Gave up after ${tries} ${tries === 1 ? 'try' : 'tries'}${lastError}`;
}

/** Log drivers break lines at 16 kB. */
const IDS_PER_LINE = 250;

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

/** The attempts whose orders a door has changed. A door settles exactly these. */
export function attemptsFor<J extends OrderJob>(jobs: J[], orderIds: readonly string[]): J[] {
  const changed = new Set(orderIds);
  return jobs.filter(({ data }) => changed.has(data.order_id));
}

/** The outcome of a job that a door has settled. */
export function settled({ id }: JobAttempt): Outcome {
  return { id, status: 'completed', settled: true };
}

/** The outcome of a job whose order needs no work: pg-boss completes the job if it is still active. */
export function nothingToDo({ id }: JobAttempt): Outcome {
  return { id, status: 'completed' };
}

/**
 * Whether a single order can have caused the error; then the parts of the batch are tried. Other errors, such as a lost
 * connection, fail the whole batch, which is retried.
 */
export function isIsolatable(error: unknown): boolean {
  return error instanceof ClaimLost || isRowError(error);
}
