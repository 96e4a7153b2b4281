/*
 * Workers within the test's own process.
 */
import type { ExecutionContext } from 'ava';
import type { Job } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import { createHandlers } from '../../jobs/index.ts';
import type { QueueName } from '../../jobs/queues.ts';
import type { Config } from '../../src/config.ts';
import { asRole } from '../../src/db/roles.ts';
import { closeDeps, openDeps, type Deps, type WorkerDeps } from '../../src/deps.ts';
import { createQueue, type JobOutcome } from '../../src/queue/boss.ts';
import { runBatch } from '../../src/queue/claiming.ts';
import { startConsumers } from '../../src/worker.ts';
import { until } from './until.ts';

/** Runs a worker as in production, until the test ends. Returns its dependencies. */
export async function startWorker(
  t: ExecutionContext,
  { deps: { config } }: { deps: { config: Config } },
): Promise<WorkerDeps> {
  const DATABASE_URL = asRole(config.DATABASE_URL, 'oms_worker');
  const settings = { ...config, DATABASE_URL };
  const base = await openDeps(settings, 'worker');
  const queue = createQueue(settings, base.log);
  await queue.boss.start();
  const deps = { ...base, boss: queue.boss };
  const { stop } = await startConsumers(deps);
  t.teardown(async () => {
    await stop();
    await queue.close(2);
    await closeDeps(base);
  });
  return deps;
}

/** Processes claimed jobs as a worker does. Returns the outcome of each job. */
export function runClaimedBatch(
  deps: WorkerDeps,
  queue: QueueName,
  jobs: Job[],
): Promise<JobOutcome[]> {
  return runBatch(deps, queue, createHandlers(deps)[queue], jobs);
}

/** Waits until an order has a status. Returns the status. */
export async function untilOrderIs(
  { pool }: Pick<Deps, 'pool'>,
  id: string,
  status: string,
): Promise<string> {
  return until(`order ${id} to be ${status}`, () =>
    pool.maybeOneFirst(sql.type(z.object({ status: z.string() }))`
      SELECT status FROM orders WHERE id = ${id} AND status = ${status}
    `),
  );
}
