/*
 * Settles the answers of the external step. Orders whose answers arrive together end by one statement; those whose
 * answers arrive while it runs end by the next one. Each is fenced to its attempt. An answer that cannot be settled
 * does not affect the others.
 */
import { sql } from 'slonik';
import { crashPoint } from '../crash-point.ts';
import { Batcher } from '../db/batcher.ts';
import type { WorkerDeps } from '../deps.ts';
import { ClaimLost, failJobs } from '../queue/boss.ts';
import {
  fenced,
  isOrderError,
  lockTimeoutMs,
  OrderIds,
  recordFinished,
  WORKER_NAME,
  type OrderJob,
} from './processing.ts';

/** How an order ends. */
export type End = { status: 'COMPLETED' } | { status: 'FAILED'; reason: string };

/** Why an attempt is repeated. `seconds`: the least delay before the next one. */
export type Retry = { status: 'PROCESSING'; reason: string; seconds?: number };

/** Settles answers. Both functions reject with ClaimLost when the attempt no longer has the claim on its job. */
export type Settlement = {
  /** Ends an order and completes its job. Resolves with false when the order had already ended: nothing changed. */
  end(job: OrderJob, end: End): Promise<boolean>;
  /** Fails the attempt now, because the rest of its batch may end much later. pg-boss retries it. */
  retry(job: OrderJob, retry: Retry): Promise<void>;
};

type Ended = { job: OrderJob; end: End };
type Retried = { job: OrderJob; retry: Retry };

/** There are never more answers than claimed jobs in the process, so there is no other limit. */
const limits = { inFlightMax: 1, batchSizeMax: Infinity, waitingMax: Infinity };

/** Creates the settlement of a process. */
export function createSettlement(deps: WorkerDeps): Settlement {
  const ends = new Batcher<Ended, boolean>({
    ...limits,
    commit: (batch, again) => endOrders(deps, batch, again),
    isItemError: isOrderError,
  });
  const retries = new Batcher<Retried, void>({
    ...limits,
    commit: (batch) => retryLater(deps, batch),
    isItemError: () => false, // a lost claim is the outcome of its attempt, not an error of the batch
  });
  return {
    end: (job, end) => ends.add({ job, end }),
    retry: (job, retry) => retries.add({ job, retry }),
  };
}

/** Ends orders and completes their jobs, all or none. Returns for each order whether this call has ended it. */
async function endOrders(deps: WorkerDeps, ended: Ended[], again: boolean): Promise<boolean[]> {
  const batch = ended.map(({ job: { id, retryCount, data }, end }) => ({
    id,
    retry_count: retryCount,
    data,
    ...end,
  }));
  const ending = deps.pool.one(sql.prepared('settle-orders', OrderIds)`
    SELECT settle_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
  `);
  const { order_ids } = await fenced(batch.length, ending);
  crashPoint('after-work-commit');
  const changed = new Set(order_ids);
  for (const status of ['COMPLETED', 'FAILED'] as const) {
    const jobs = batch.filter((job) => job.status === status && changed.has(job.id)); // a job has the id of its order
    recordFinished(
      deps,
      jobs.map(({ id }) => id),
      status,
    );
  }
  return batch.map(({ id }) => changed.has(id));
}

/** Fails attempts, and postpones the next ones. The outcome of an attempt that has lost its claim is ClaimLost. */
async function retryLater(deps: WorkerDeps, retried: Retried[]): Promise<(void | ClaimLost)[]> {
  const failed = new Set<string>();
  const byReason = Map.groupBy(retried, ({ retry }) => retry.reason);
  for (const [reason, some] of byReason) {
    const jobs = some.map(({ job }) => job);
    const ids = await failJobs(deps.boss, 'process-order', jobs, reason);
    for (const id of ids) failed.add(id);
  }
  await postpone(
    deps,
    retried.filter(({ job }) => failed.has(job.id)),
  );
  return retried.map(({ job }) => (failed.has(job.id) ? undefined : new ClaimLost(1)));
}

/** Delays the next attempts for as long as the answers ask for. */
async function postpone({ pool }: WorkerDeps, retried: Retried[]): Promise<void> {
  const batch = retried.flatMap(({ job: { id, retryCount }, retry: { seconds } }) =>
    seconds === undefined ? [] : [{ id, retry_count: retryCount, seconds: Math.ceil(seconds) }],
  );
  if (batch.length === 0) return;
  await pool.query(sql.unsafe`SELECT postpone_jobs(${JSON.stringify(batch)}::jsonb)`);
}
