import { hostname } from 'node:os';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import type { TestDeps as Deps } from './context.ts';
import { failExhaustedOrders } from '../../src/orders/processing.ts';
import { asWorker, type Context } from './context.ts';
import { jobOf, leaveOneTry } from './orders.ts';
import { databaseUrl } from './template.ts';

type Row = Record<string, any>; // eslint-disable-line -- tests read columns of any query

/** A session like that of a person in psql. */
export type Dba = {
  /** The rows of a statement. */
  rows: (text: string, values?: unknown[]) => Promise<Row[]>;
  /** The one value of the one row of a statement. */
  value: (text: string, values?: unknown[]) => Promise<any>; // eslint-disable-line -- likewise
  /** The SQLSTATE and the message of a refused statement; fails when it is not refused. */
  refusal: (
    text: string,
    values?: unknown[],
  ) => Promise<{ code: string | undefined; message: string }>;
};

/** Logs in to a test's database as a person, with the rights of a role and under its name. */
export async function connectDba(
  t: ExecutionContext<Context>,
  { database }: Pick<Context, 'database'> = t.context,
  role = 'oms_dba',
): Promise<Dba> {
  const client = new Client(databaseUrl(database));
  await client.connect();
  t.teardown(() => client.end());
  if (role !== 'postgres') await client.query(`SET SESSION AUTHORIZATION ${role}`);
  const rows = async (text: string, values?: unknown[]) =>
    (await client.query<Row>(text, values)).rows;
  return {
    rows,
    value: async (text, values) => Object.values((await rows(text, values))[0] ?? {})[0],
    refusal: async (text, values) => {
      const error = await t.throwsAsync<Error & { code?: string }>(rows(text, values));
      return { code: error?.code, message: error?.message ?? '' };
    },
  };
}

/** Claims one job, as a worker's fetch would, and leaves those of other tests alone. */
export async function take({ pool }: Deps, id: string, queue: QueueName = 'process-order') {
  await pool.query(sql.unsafe`
    UPDATE pgboss.job
    SET state = 'active', started_on = now(), heartbeat_on = now(),
      retry_count = CASE WHEN started_on IS NOT NULL THEN retry_count + 1 ELSE retry_count END
    WHERE name = ${queue} AND id = ${id}
  `);
}

/** Uses up the retries of an order's job. Returns the id of its dead letter, which is not claimed yet. */
export async function giveUp(deps: Deps, id: string, message = 'out of stock'): Promise<string> {
  await leaveOneTry(deps, id);
  await take(deps, id);
  await deps.boss.fail('process-order', id, { message });
  const Row = z.object({ id: z.guid() });
  return deps.pool.oneFirst(sql.type(Row)`
    SELECT id FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = ${id} AND state = 'created'
  `);
}

/** Takes an order to FAILED through used-up retries. */
export async function failOrder(deps: Deps, id: string, message?: string): Promise<string> {
  const letter = await giveUp(deps, id, message);
  await take(deps, letter, 'fail-order');
  await failExhaustedOrders(asWorker(deps), [await jobOf(deps, letter, 'fail-order')]);
  return letter;
}

/** Adds a worker with an old heartbeat to pg-boss's registry. Returns its id. */
export async function registerWorker(
  { pool }: Deps,
  { silentSeconds = 0, pid = 4711, queues = ['process-order'] } = {},
): Promise<string> {
  return pool.oneFirst(sql.type(z.object({ id: z.guid() }))`
    INSERT INTO pgboss.instance (id, name, host, pid, version, node_version, heartbeat_seconds,
      supervise, schedule, migrate, persist_queue_stats, persist_warnings, workers, heartbeat_on)
    VALUES (gen_random_uuid(), 'worker', ${hostname()}, ${pid}, '12', '26', 3, true, true, true, true, true,
      ${sql.jsonb(queues.map((queue) => ({ queue })))}, now() - ${silentSeconds} * interval '1 second')
    RETURNING id
  `);
}

/** Records that a worker holds a job at an attempt, as workers do. */
export async function hold({ pool }: Deps, worker: string, job: string, attempt = 1) {
  await pool.query(sql.unsafe`
    INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
    VALUES (${worker}, ${job}, 'process-order', ARRAY[${job}::uuid], ARRAY[${attempt}::integer])
  `);
}

/** Keeps the row of an order, or of its job, locked until the test ends. */
export async function lock(
  t: ExecutionContext<Context>,
  { database }: Pick<Context, 'database'>,
  table: 'orders' | 'pgboss.job',
  id: string,
): Promise<void> {
  const { rows } = await connectDba(t, { database }, 'postgres');
  await rows('BEGIN');
  await rows(`SELECT id FROM ${table} WHERE id = $1 FOR UPDATE`, [id]);
}
