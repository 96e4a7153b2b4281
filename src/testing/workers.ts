import type { ExecutionContext } from 'ava';
import { asRole } from '../db/roles.ts';
import { closeDeps, openDeps, type Deps } from '../deps.ts';
import { startWorkers } from '../worker.ts';
import { lookUp, type Context } from './context.ts';
import { until } from './until.ts';

/** A worker in this process that runs as it does in production, until the test ends. Its parts. */
export async function startWorker(
  t: ExecutionContext<Context>,
  { deps: { config } }: Pick<Context, 'deps'>,
): Promise<Deps> {
  const DATABASE_URL = asRole(config.DATABASE_URL, 'oms_worker');
  const settings = { ...config, DATABASE_URL, SHUTDOWN_TIMEOUT_SECONDS: 2 };
  const deps = await openDeps(settings, 'worker');
  t.teardown(() => closeDeps(deps));
  const stop = await startWorkers(deps);
  t.teardown(stop); // ava runs the last one first
  return deps;
}

/** Waits until an order has a status. */
export async function ends(deps: Deps, id: string, status: string): Promise<string> {
  return until(`order ${id} to be ${status}`, async () => {
    const order = await lookUp(deps, id);
    return order.status === status && order.status;
  });
}
