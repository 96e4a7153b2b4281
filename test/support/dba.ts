/*
 * psql sessions of people, and the states of jobs and workers that operators meet: claimed, given up, running, locked.
 */
import { hostname } from 'node:os';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import { failExhaustedOrders } from '../../src/orders/processing.ts';
import { asWorker, type Context, type TestDeps as Deps } from './context.ts';
import { jobOf, leaveOneTry } from './orders.ts';
import { databaseUrl } from './template.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- tests read columns of any query
type Row = Record<string, any>;

/** A psql session of a person. */
export type Dba = {
  /** Runs a statement. Returns its rows. */
  rows: (text: string, values?: unknown[]) => Promise<Row[]>;
  /** Runs a statement. Returns the first value of its first row. */
  // oxlint-disable-next-line typescript/no-explicit-any -- any type of column
  value: (text: string, values?: unknown[]) => Promise<any>;
  /** Runs a statement that Postgres must refuse. Returns SQLSTATE and message of the error. */
  refusal: (
    text: string,
    values?: unknown[],
  ) => Promise<{ code: string | undefined; message: string }>;
};

/** Opens a session in a test's database, with the name and the rights of a role. */
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

/** Claims one job as a worker's fetch does. The jobs of other tests stay as they are. */
export async function claimJob({ pool }: Deps, id: string, queue: QueueName = 'process-order') {
  await pool.query(sql.unsafe`
    UPDATE pgboss.job
    SET state = 'active', started_on = now(), heartbeat_on = now(),
      retry_count = CASE WHEN started_on IS NOT NULL THEN retry_count + 1 ELSE retry_count END
    WHERE name = ${queue} AND id = ${id}
  `);
}

/** Lets an order's job fail until no retry is left. Returns the id of its dead letter, unclaimed. */
export async function exhaustRetries(
  deps: Deps,
  id: string,
  message = 'out of stock',
): Promise<string> {
  await leaveOneTry(deps, id);
  await claimJob(deps, id);
  await deps.boss.fail('process-order', id, { message });
  const Row = z.object({ id: z.guid() });
  return deps.pool.oneFirst(sql.type(Row)`
    SELECT id FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = ${id} AND state = 'created'
  `);
}

/** Sets an order to FAILED as a worker does when no retry is left. Returns the id of the dead letter. */
export async function failOrder(deps: Deps, id: string, message?: string): Promise<string> {
  const letter = await exhaustRetries(deps, id, message);
  await claimJob(deps, letter, 'fail-order');
  await failExhaustedOrders(asWorker(deps), [await jobOf(deps, letter, 'fail-order')]);
  return letter;
}

/** Adds a worker to pg-boss's registry, with its last heartbeat `silentSeconds` ago. Returns its id. */
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

/** Records that a worker is running an attempt of a job, as workers do. */
export async function recordRunningBatch({ pool }: Deps, worker: string, job: string, attempt = 1) {
  await pool.query(sql.unsafe`
    INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
    VALUES (${worker}, ${job}, 'process-order', ARRAY[${job}::uuid], ARRAY[${attempt}::integer])
  `);
}

/** Locks the row of an order or of its job until the test ends. */
export async function lockRow(
  t: ExecutionContext<Context>,
  { database }: Pick<Context, 'database'>,
  table: 'orders' | 'pgboss.job',
  id: string,
): Promise<void> {
  const { rows } = await connectDba(t, { database }, 'postgres');
  await rows('BEGIN');
  await rows(`SELECT id FROM ${table} WHERE id = $1 FOR UPDATE`, [id]);
}
