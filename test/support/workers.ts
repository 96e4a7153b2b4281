import type { ExecutionContext } from 'ava';
import { asRole } from '../../src/db/roles.ts';
import { createQueue, type JobOutcome } from '../../src/queue/boss.ts';
import { closeDeps, openDeps, type Deps, type WorkerDeps } from '../../src/deps.ts';
import type { Job } from 'pg-boss';
import { createHandler } from '../../jobs/index.ts';
import type { QueueName } from '../../jobs/queues.ts';
import { runBatch as runBatchWith } from '../../src/queue/claiming.ts';
import { startConsumers } from '../../src/worker.ts';
import { lookUp, type Context } from './context.ts';
import { until } from './until.ts';

/** Runs a worker in this process as in production, until the test ends. Returns its parts. */
export async function startWorker(
  t: ExecutionContext<Context>,
  { deps: { config } }: Pick<Context, 'deps'>,
): Promise<WorkerDeps> {
  const DATABASE_URL = asRole(config.DATABASE_URL, 'oms_worker');
  const settings = { ...config, DATABASE_URL };
  const base = await openDeps(settings, 'worker');
  const queue = createQueue(settings, base.log);
  await queue.boss.start();
  const deps = { ...base, boss: queue.boss };
  const stop = await startConsumers(deps);
  t.teardown(async () => {
    await stop();
    await queue.close(2);
    await closeDeps(base);
  });
  return deps;
}

/** Processes claimed jobs as a worker does. */
export function runBatch(deps: WorkerDeps, queue: QueueName, jobs: Job[]): Promise<JobOutcome[]> {
  return runBatchWith(deps, queue, createHandler(deps, queue), jobs);
}

/** Waits until an order has a status. */
export async function ends(deps: Pick<Deps, 'pool'>, id: string, status: string): Promise<string> {
  return until(`order ${id} to be ${status}`, async () => {
    const order = await lookUp(deps, id);
    return order.status === status && order.status;
  });
}
