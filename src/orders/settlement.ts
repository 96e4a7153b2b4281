/*
 * Settles what the external step has answered: orders and jobs whose answers come in together by one
 * transaction, those that come in meanwhile by the next. Each is fenced to the attempt that asked, and one
 * that cannot be settled leaves its neighbours alone.
 */
import type { Job, JobAttempt } from 'pg-boss';
import type { DatabaseTransactionConnection } from 'slonik';
import { crashPoint } from '../crash-point.ts';
import { completeJobs, failJobs, retryJobAfter } from '../db/boss.ts';
import type { Deps } from '../deps.ts';
import { createGroupCommit, type GroupCommit } from '../group-commit.ts';
import {
  announceFinished,
  attemptsFor,
  isIsolatable,
  moveOrders,
  type Moved,
} from './processing.ts';

/** What is to become of an order and of the attempt. `seconds`: the next one comes no sooner. */
export type Verdict =
  | { status: 'COMPLETED' }
  | { status: 'FAILED'; reason: string }
  | { status: 'PROCESSING'; reason: string; seconds?: number };

type Answered = { job: Job<{ order_id: string }>; verdict: Verdict };
type Group = [Answered, ...Answered[]];
type Done = { status: Verdict['status']; orders: readonly Moved[]; settled: JobAttempt[] };

/** Resolves with whether the order was PROCESSING as expected; else nothing was done to it. */
export type Settlement = GroupCommit<Answered, boolean>;

/** Collects the answers of one process. There are never more of them than it has jobs in hand. */
export function createSettlement(deps: Deps): Settlement {
  return createGroupCommit<Answered, boolean>({
    lanes: 1,
    sizeMax: Infinity,
    waitingMax: Infinity,
    commit: (answered, again) => settle(deps, answered, again),
    isOneToBlame: isIsolatable,
  });
}

async function settle(deps: Deps, answered: Answered[], again: boolean): Promise<boolean[]> {
  const groups = Map.groupBy(answered, ({ verdict }) => JSON.stringify(verdict));
  const done = await deps.pool.transaction(async (tx) => {
    const each: Done[] = [];
    for (const group of groups.values()) each.push(await carryOut(deps, tx, group as Group, again));
    return each;
  });
  crashPoint('after-work-commit');
  for (const { status, orders } of done) {
    if (status !== 'PROCESSING') announceFinished(deps, orders, status);
  }
  const all = new Set(done.flatMap(({ settled }) => settled));
  return answered.map(({ job }) => all.has(job));
}

/** Does the same to all that got the same verdict. */
async function carryOut(
  { boss }: Deps,
  tx: DatabaseTransactionConnection,
  group: Group,
  again: boolean,
): Promise<Done> {
  const [{ verdict }] = group;
  const { status } = verdict;
  const jobs = group.map(({ job }) => job);
  if (status === 'PROCESSING') {
    // Here, and not by way of what the batch returns: the last of it may be answered much later.
    const { reason: message, seconds } = verdict;
    if (seconds === undefined) await failJobs(boss, tx, 'process-order', jobs, message);
    else
      for (const job of jobs)
        await retryJobAfter(boss, tx, 'process-order', job, { message, seconds });
    return { status, orders: [], settled: jobs };
  }
  const reason = status === 'FAILED' ? verdict.reason : '';
  const orders = await moveOrders(tx, jobs, { from: ['PROCESSING'], to: status, reason, again });
  crashPoint('after-effect');
  const settled = attemptsFor(jobs, orders);
  await completeJobs(tx, 'process-order', settled);
  crashPoint('after-completion');
  return { status, orders, settled };
}
