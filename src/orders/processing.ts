/*
 * How a worker takes orders through their lifecycle inside the database.
 *
 * Each function changes orders and settles their jobs in ONE transaction, and the settling is fenced
 * to the attempt that was claimed. This is what pg-boss's `transactional: true` does, written out,
 * because that fence is all or nothing for a batch: one order that is cancelled between claim and
 * commit (its job is cancelled with it) would send all its neighbours back to the queue, each with
 * one retry less. Here the fence covers exactly the orders that the transaction changed. A test in
 * processing.test.ts cancels an order in that window.
 */
import { hostname } from 'node:os';
import type { Job, JobAttempt, JobWithMetadata } from 'pg-boss';
import { sql, type DatabaseTransactionConnection, type FragmentSqlToken } from 'slonik';
import { z } from 'zod';
import { crashPoint } from '../crash-point.ts';
import { ClaimLost, completeJobs, type Outcome } from '../db/boss.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import type { OrderStatus } from './schema.ts';

type OrderJob = Job<{ order_id: string }>;

/** A dead letter of process-order: it also carries what became of the job that it was. */
export type ExhaustedJob = JobWithMetadata<{ order_id: string }>;

/** What is to be known of an order that has changed its status: the rest of its row has not changed. */
const Moved = z.object({ id: z.guid(), version: z.int() });
export type Moved = z.infer<typeof Moved>;

/** Whoever holds the lock of one order should not hold up a batch for longer than this. */
const LOCK_TIMEOUT_MS = 1000;

const OPEN: OrderStatus[] = ['PENDING', 'PROCESSING'];

/** How order_events names this process. */
export const WORKER_ACTOR = `worker:${hostname()}:${process.pid}`;

/** Takes a batch PENDING → PROCESSING → COMPLETED with its jobs, set-based, in one transaction. */
export function processOrders(deps: Deps, jobs: OrderJob[]): Promise<Outcome[]> {
  return togetherOrApart(deps, jobs, (some, again) => completeBatch(deps, some, again));
}

/**
 * Does something to a batch in one go, all or nothing. When one order stands in the way, each half gets one, and
 * so on: only that one fails, at the cost of O(log n) more. `transact` says which attempts it has settled, and is
 * told when it is asked again for some of a batch.
 */
export async function togetherOrApart(
  deps: Deps,
  jobs: OrderJob[],
  transact: (jobs: OrderJob[], again: boolean) => Promise<readonly JobAttempt[]>,
  again = false,
): Promise<Outcome[]> {
  try {
    const done = new Set((await transact(jobs, again)).map(({ id }) => id));
    return jobs.map((job) => (done.has(job.id) ? settled(job) : nothingToDo(job)));
  } catch (error) {
    if (!isIsolatable(error)) throw error;
    if (jobs.length > 1) {
      const middle = Math.ceil(jobs.length / 2);
      const first = await togetherOrApart(deps, jobs.slice(0, middle), transact, true);
      return [...first, ...(await togetherOrApart(deps, jobs.slice(middle), transact, true))];
    }
    deps.log.error({ err: error, job_id: jobs[0]?.id }, 'order failed');
    return jobs.map(({ id }) => ({ id, status: 'failed', output: error }));
  }
}

async function completeBatch(deps: Deps, jobs: OrderJob[], again: boolean): Promise<JobAttempt[]> {
  const completed = await deps.pool.transaction(async (tx) => {
    const orders = await moveOrders(tx, jobs, { from: OPEN, to: 'COMPLETED', again });
    crashPoint('after-effect');
    await completeJobs(tx, 'process-order', attemptsFor(jobs, orders));
    crashPoint('after-completion');
    return orders;
  });
  crashPoint('after-work-commit');
  announceFinished(deps, completed, 'COMPLETED');
  return attemptsFor(jobs, completed);
}

/**
 * Moves those among the jobs' orders that have one of these statuses, by way of PROCESSING; the others are
 * left as they are. On record is this worker, and for each order the job and its attempt.
 */
export function moveOrders(
  tx: DatabaseTransactionConnection,
  jobs: OrderJob[],
  move: Move,
): Promise<readonly Moved[]> {
  return tx.any(sql.type(Moved)`${moving(jobs, move)} RETURNING o.id, o.version`);
}

/** `again`: a batch that these were part of has failed. */
type Move = { from: OrderStatus[]; to: OrderStatus; reason?: string; again?: boolean };

/** The statement of `moveOrders`, for whoever wants to know more of the orders that it has changed. */
export function moving(
  jobs: OrderJob[],
  { from, to, reason = '', again = false }: Move,
): FragmentSqlToken {
  const lockTimeoutMs = again ? LOCK_TIMEOUT_AGAIN_MS : LOCK_TIMEOUT_MS;
  const attempts = jobs.map(({ id, data, retryCount }) => [data.order_id, [id, retryCount + 1]]);
  const ids = jobs.map(({ data }) => data.order_id);
  // The CTE says who acts before the trigger fires, and saves the round trip of doing it on its own.
  return sql.fragment`
    WITH acting AS MATERIALIZED (
      SELECT set_config('oms.actor', ${WORKER_ACTOR}, true), set_config('oms.reason', ${reason}, true),
        set_config('oms.attempts', ${JSON.stringify(Object.fromEntries(attempts))}, true),
        set_config('oms.via', 'PROCESSING', true), set_config('lock_timeout', ${String(lockTimeoutMs)}, true)
    )
    UPDATE orders AS o SET status = ${to}
    FROM acting
    WHERE o.id = ANY(${sql.array(ids, 'uuid')}) AND o.status = ANY(${sql.array(from, 'order_status')})
  `;
}

/** Sets orders FAILED whose jobs have used up their retries, each on its own. */
export async function failExhaustedOrders(deps: Deps, jobs: ExhaustedJob[]): Promise<Outcome[]> {
  const results: Outcome[] = [];
  for (const job of jobs) {
    results.push(...(await togetherOrApart(deps, [job], () => failExhaustedOrder(deps, job))));
  }
  return results;
}

async function failExhaustedOrder(deps: Deps, job: ExhaustedJob): Promise<JobAttempt[]> {
  const failed = await deps.pool.transaction(async (tx) => {
    const tries = (job.sourceRetryCount ?? 0) + 1;
    const reason = `Gave up after ${tries} ${tries === 1 ? 'try' : 'tries'}${lastError(job)}`;
    const orders = await moveOrders(tx, [job], { from: OPEN, to: 'FAILED', reason });
    await completeJobs(tx, 'fail-order', [job]);
    return orders;
  });
  announceFinished(deps, failed, 'FAILED');
  return [job];
}

function lastError({ sourceOutput }: ExhaustedJob): string {
  const message = sourceOutput && 'message' in sourceOutput ? sourceOutput.message : undefined;
  return typeof message === 'string' ? `: ${message.slice(0, 300)}` : '';
}

/** Log drivers break lines at 16 kB. */
const IDS_PER_LINE = 250;

/** Tells of orders that have ended. In few lines: a line each was the largest part of a worker's time. */
export function announceFinished(
  deps: Deps,
  orders: readonly Moved[],
  status: 'COMPLETED' | 'FAILED',
): void {
  if (orders.length === 0) return;
  deps.hints.announce(orders.map(({ id, version }) => ({ id, version, status })));
  deps.metrics.ordersFinished.inc({ status }, orders.length);
  for (let from = 0; from < orders.length; from += IDS_PER_LINE) {
    const order_ids = orders.slice(from, from + IDS_PER_LINE).map(({ id }) => id);
    deps.log.info({ status, order_ids }, 'orders finished');
  }
}

/** The attempts whose orders this transaction has changed: those, and only those, it must settle. */
export function attemptsFor(jobs: OrderJob[], orders: readonly Moved[]): JobAttempt[] {
  const changed = new Set(orders.map(({ id }) => id));
  return jobs.filter(({ data }) => changed.has(data.order_id));
}

/** What is said of a job that our own transaction has settled. */
export function settled({ id }: JobAttempt): Outcome {
  return { id, status: 'completed', settled: true };
}

/** What is said of a job whose order wants nothing done: for pg-boss to complete, if it is active still. */
export function nothingToDo({ id }: JobAttempt): Outcome {
  return { id, status: 'completed' };
}

/**
 * Whether one order alone can have caused it: then a second look at each is worth it. A lost connection is
 * nobody's fault, and the whole batch is retried.
 */
export function isIsolatable(error: unknown): boolean {
  return error instanceof ClaimLost || isRowError(error);
}
