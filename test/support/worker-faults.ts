/*
 * Worker processes whose orders have an external step, and what the database has about their orders and jobs.
 */
import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { signUp, type Context } from './context.ts';
import { FULFILMENT_SECRET } from './fulfilment.ts';
import { insertOrders } from './orders.ts';
import type { Running } from './processes.ts';
import { testEnvironment } from './template.ts';

/** The settings of a worker whose orders have their external step at a URL. */
export function fulfilledAt(
  url: string,
  { database }: Context,
  settings: Record<string, string> = {},
) {
  return testEnvironment(database, { FULFILMENT_URL: url, FULFILMENT_SECRET, ...settings });
}

/** Answers a call of the external step with success. */
export function accept(response: ServerResponse): void {
  response.writeHead(200).end();
}

/** Places orders of a new user. Returns their ids. */
export async function placeMany(service: Context, count: number): Promise<string[]> {
  const { id } = await signUp(service);
  return insertOrders(service.deps, id, count);
}

/** The orders that a worker process has set to PROCESSING, and that are still PROCESSING. */
export function processedBy({ deps }: Context, { pid }: Running): Promise<readonly string[]> {
  return deps.pool.anyFirst(sql.type(z.object({ id: z.string() }))`
    SELECT orders.id FROM orders JOIN order_events ON order_events.order_id = orders.id
    WHERE orders.status = 'PROCESSING' AND to_status = 'PROCESSING' AND actor LIKE ${`%:${pid}`}
  `);
}

/** The number of jobs of process-order in each state. */
export async function jobStates({ deps }: Context): Promise<Record<string, number>> {
  const rows = await deps.pool.any(sql.type(z.object({ state: z.string(), jobs: z.number() }))`
    SELECT state::text AS state, count(*) AS jobs FROM pgboss.job WHERE name = 'process-order'
    GROUP BY state ORDER BY state
  `);
  return Object.fromEntries(rows.map(({ state, jobs }) => [state, jobs]));
}

/** Whether exactly this number of orders is not completed. */
export function remaining({ deps }: Context, count: number): Promise<boolean> {
  return deps.pool.oneFirst(sql.type(z.object({ reached: z.boolean() }))`
    SELECT count(*) = ${count} AS reached FROM orders WHERE status <> 'COMPLETED'
  `);
}
