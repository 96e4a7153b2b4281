/*
 * Claims on jobs, and the ways in which a worker loses one: it sends no heartbeat for too long, or an operator
 * intervenes.
 */
import type { ExecutionContext } from 'ava';
import type { JobWithMetadata } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import { fenced, type OrderJob } from '../../src/orders/processing.ts';
import { asWorker, claim, ownService, signUp, type Context } from './context.ts';
import { insertOrders, jobOf } from './orders.ts';

export type Service = Pick<Context, 'deps' | 'origin' | 'database'>;
export type Claimed = JobWithMetadata & OrderJob;

/** Places orders in a database of their own, and claims their jobs. */
export async function claimedOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  await insertOrders(service.deps, (await signUp(service)).id, count);
  return { service, jobs: (await claim(service.deps, 'process-order')) as unknown as Claimed[] };
}

/** Claims a job as another worker does, also before it is due. */
export async function claimAgain(
  { deps }: Service,
  queue: QueueName,
  id: string,
): Promise<Claimed> {
  const [job] = (await claim(deps, queue, { early: true })) as unknown as Claimed[];
  if (job?.id !== id) throw new Error(`claimed ${job?.id}, not ${id}`);
  return job;
}

/** Makes a claim look as if its worker had sent no heartbeat for an hour. */
export async function goSilent({ deps }: Service, queue: QueueName, id: string): Promise<void> {
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour', started_on = now() - interval '1 hour'
    WHERE name = ${queue} AND id = ${id}
  `);
}

/** Lets pg-boss release the job of a worker without a heartbeat. */
export async function rescue(service: Service, queue: QueueName, id: string): Promise<void> {
  await goSilent(service, queue, id);
  await service.deps.boss.supervise(queue);
  const { state } = await jobOf(service.deps, id, queue);
  if (state !== 'retry') throw new Error(`job ${id} is ${state}`);
}

/** Retries an order as an operator does. */
export async function retryOrder({ deps }: Service, id: string): Promise<void> {
  await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${id}, 'its worker is silent')`);
}

/** Calls a door function with a number of claims, as a worker does. Returns the orders that it has changed. */
export async function callDoorWith(
  { deps }: Service,
  claims: number,
  door: ReturnType<typeof sql.fragment>,
): Promise<readonly string[]> {
  const OrderIds = z.object({ order_ids: z.array(z.guid()) });
  const calling = asWorker(deps).pool.one(sql.type(OrderIds)`SELECT ${door} AS order_ids`);
  const { order_ids } = await fenced(claims, calling);
  return order_ids;
}
