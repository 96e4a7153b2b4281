import type { ExecutionContext } from 'ava';
import { asRole } from '../../src/db/roles.ts';
import { createQueue } from '../../src/queue/boss.ts';
import { closeDeps, openDeps, type Deps, type WorkerDeps } from '../../src/deps.ts';
import { startWorkers } from '../../src/worker.ts';
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
  const stop = await startWorkers(deps);
  t.teardown(async () => {
    await stop();
    await queue.close(2);
    await closeDeps(base);
  });
  return deps;
}

/** Waits until an order has a status. */
export async function ends(deps: Pick<Deps, 'pool'>, id: string, status: string): Promise<string> {
  return until(`order ${id} to be ${status}`, async () => {
    const order = await lookUp(deps, id);
    return order.status === status && order.status;
  });
}
