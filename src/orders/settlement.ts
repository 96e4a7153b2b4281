/*
 * Settles the answers of the external step. Answers that arrive together are settled by one statement; those that
 * arrive while it runs are settled by the next. Each is fenced to its attempt. An answer that cannot be settled does
 * not affect the others.
 */
import { sql } from 'slonik';
import { crashPoint } from '../crash-point.ts';
import { createBatcher } from '../db/batcher.ts';
import { failJobs } from '../queue/boss.ts';
import type { WorkerDeps } from '../deps.ts';
import {
  fenced,
  isIsolatable,
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

/** Settles answers. There are never more of them than claimed jobs in the process. */
export type Settlement = {
  /** Ends an order and completes its job. Resolves with false when the order had already ended: nothing changed. */
  end(job: OrderJob, end: End): Promise<boolean>;
  /** Fails the attempt now: the rest of its batch may finish much later. pg-boss retries it. */
  retry(job: OrderJob, retry: Retry): Promise<void>;
};

/** Creates the settlement of a process. Both functions reject with ClaimLost when another attempt holds the job. */
export function createSettlement(deps: WorkerDeps): Settlement {
  const unbounded = {
    inFlightMax: 1,
    batchSizeMax: Infinity,
    waitingMax: Infinity,
    isOneToBlame: isIsolatable,
  };
  const ends = createBatcher<Ended, boolean>({
    ...unbounded,
    commit: (ended, again) => endOrders(deps, ended, again),
  });
  const retries = createBatcher<Retried, true>({
    ...unbounded,
    commit: (retried) => retryLater(deps, retried),
  });
  return {
    end: (job, end) => ends.add({ job, end }),
    retry: async (job, retry) => void (await retries.add({ job, retry })),
  };
}

type Ended = { job: OrderJob; end: End };
type Retried = { job: OrderJob; retry: Retry };

async function endOrders(deps: WorkerDeps, ended: Ended[], again: boolean): Promise<boolean[]> {
  const batch = ended.map(({ job: { id, retryCount, data }, end }) => ({
    id,
    retry_count: retryCount,
    data,
    ...end,
  }));
  const { order_ids } = await fenced(deps.pool, ended.length, (pool) =>
    pool.one(sql.prepared('settle-orders', OrderIds)`
      SELECT settle_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, ${lockTimeoutMs(again)}) AS order_ids
    `),
  );
  crashPoint('after-work-commit');
  const changed = new Set(order_ids);
  for (const status of ['COMPLETED', 'FAILED'] as const) {
    const these = batch.filter((each) => each.status === status && changed.has(each.id));
    recordFinished(
      deps,
      these.map(({ id }) => id),
      status,
    );
  }
  return ended.map(({ job }) => changed.has(job.id));
}

async function retryLater({ boss, pool }: WorkerDeps, retried: Retried[]): Promise<true[]> {
  const byReason = Map.groupBy(retried, ({ retry }) => retry.reason);
  for (const [reason, group] of byReason) {
    const jobs = group.map(({ job }) => job);
    await failJobs(boss, 'process-order', jobs, reason);
  }
  const postponed = retried.flatMap(({ job: { id, retryCount }, retry: { seconds } }) =>
    seconds === undefined ? [] : { id, retry_count: retryCount, seconds: Math.ceil(seconds) },
  );
  if (postponed.length > 0) {
    await pool.query(sql.unsafe`SELECT postpone_jobs(${JSON.stringify(postponed)}::jsonb)`);
  }
  return retried.map(() => true);
}
