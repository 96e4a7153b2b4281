/*
 * The context of every test that needs a service: AVA's `test` with a database, an API and queues of the test file's
 * own, and further services for single tests. Also users, claims and look-ups that most tests need.
 */
import { randomBytes, randomUUIDv7 } from 'node:crypto';
import type { Server } from 'node:http';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import { sql, type DatabasePool } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import { withAppParts } from '../../src/api.ts';
import { createApp, createInternalApp, type AppDeps } from '../../src/app.ts';
import type { Config } from '../../src/config.ts';
import { createQueue } from '../../src/queue/boss.ts';
import { openPool } from '../../src/db/pool.ts';
import { asRole } from '../../src/db/roles.ts';
import { closeDeps, openDeps, type Deps, type WorkerDeps } from '../../src/deps.ts';
import { createHealth } from '../../src/health/health.ts';
import { createIntake } from '../../src/orders/placement.ts';
import { closeServer, portOf, serve } from '../../src/http/server.ts';
import { signAccessToken } from '../../src/users/access-token.ts';
import { send } from './http.ts';
import { copyTemplate, onServer, testConfig } from './template.ts';
import { runClaimedBatch } from './workers.ts';

export { send, type TestReply } from './http.ts'; // most tests need them too

/** The dependencies of an API and of a worker together. */
export type TestDeps = AppDeps & WorkerDeps & Deps<Config>;

/**
 * A service with a database of its own, and an API that listens and works as oms_api. `deps` are for the test itself:
 * its pool and its queue client work as the superuser. `internal` is the address of health and metrics for operators.
 */
export type Context = {
  database: string;
  deps: TestDeps;
  server: Server;
  origin: string;
  internal: string;
};

/** AVA's `test`. The importing test file gets a service of its own. */
export const test = anyTest as TestFn<Context>;

const database = `oms_test_${randomBytes(6).toString('hex')}`;

test.before(async (t) => {
  await copyTemplate(database);
  Object.assign(t.context, { database }, await openService(testConfig(database)));
});

test.after.always(async (t) => {
  if (t.context.deps) await closeService(t.context);
  await onServer(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
});

/** Pools that work as oms_worker, for the worker's part of a test. */
const workerPools = new WeakMap<PgBoss, DatabasePool>();

/** Opens an API on a free port, in this process. */
export async function openService(config: Config): Promise<Omit<Context, 'database'>> {
  const { DATABASE_URL } = config;
  const apiConfig = { ...config, DATABASE_URL: asRole(DATABASE_URL, 'oms_api') };
  const api = withAppParts(await openDeps(apiConfig, 'api'));
  const queue = createQueue(config, api.log, { supervise: false }); // no job changes by itself
  await queue.boss.start();
  const workerConfig = { ...config, DATABASE_URL: asRole(DATABASE_URL, 'oms_worker') };
  workerPools.set(queue.boss, await openPool(workerConfig, api.log));
  const deps = { ...api, config, boss: queue.boss, pool: await openPool(config, api.log) };
  const server = await serve(createApp(api), 0, '127.0.0.1', config);
  const internal = await serve(createInternalApp(api), 0, '127.0.0.1');
  closers.set(server, async () => {
    internal.close();
    internal.closeAllConnections();
    await closeDeps(api);
    await queue.close(0);
  });
  return { deps, server, origin: originOf(server), internal: originOf(internal) };
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${portOf(server)}`;
}

/** For each API, a function that closes its own connections. */
const closers = new WeakMap<Server, () => Promise<void>>();

export async function closeService({
  server,
  deps,
}: Pick<Context, 'server' | 'deps'>): Promise<void> {
  const closed = closeServer(server, 1);
  server.closeAllConnections();
  await closed;
  await workerPools.get(deps.boss)?.end();
  await deps.pool.end();
  await closers.get(server)?.();
}

/** The same dependencies, with a pool that has the rights of a worker. */
export function asWorker(deps: WorkerDeps): WorkerDeps {
  return { ...deps, pool: workerPools.get(deps.boss) ?? deps.pool };
}

/** A second API with other settings on the same database, for one test. */
export async function withSettings(t: ExecutionContext<Context>, settings: Record<string, string>) {
  const service = await openService(testConfig(database, settings));
  t.teardown(() => closeService(service));
  return { database, ...service };
}

/** A second API on the same dependencies, except the given ones, for one test. */
export async function withDeps(t: ExecutionContext<Context>, replaced: Partial<TestDeps>) {
  const parts = { ...t.context.deps, ...replaced };
  const intake = createIntake(parts);
  const deps = { ...parts, intake, health: createHealth(parts, { intake }) };
  const servers = [
    await serve(createApp(deps), 0, '127.0.0.1', deps.config),
    await serve(createInternalApp(deps), 0, '127.0.0.1'),
  ] as const;
  t.teardown(() => {
    for (const server of servers) server.close().closeAllConnections();
  });
  return { deps, origin: originOf(servers[0]), internal: originOf(servers[1]) };
}

/** A service on a database of its own, for one test that needs to be alone there. */
export async function ownService(
  t: ExecutionContext<Context>,
  settings: Record<string, string> = {},
): Promise<Context> {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await copyTemplate(name);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  const service = await openService(testConfig(name, settings));
  t.teardown(() => closeService(service));
  return { database: name, ...service };
}

/** Creates a database without migrations for one test. Returns its name. */
export async function emptyDatabase(t: ExecutionContext<Context>): Promise<string> {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await onServer(`CREATE DATABASE ${name}`);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  return name;
}

/** Creates a user without HTTP, and an access token. Tests of one file run at the same time, each with its own user. */
export async function signUp({
  deps,
  origin,
}: Pick<Context, 'origin'> & { deps: Pick<TestDeps, 'pool' | 'tokenKeys'> }) {
  const id = randomUUIDv7();
  const email = `${randomBytes(6).toString('hex')}@example.test`;
  const session_id = randomUUIDv7();
  await deps.pool.query(sql.unsafe`
    WITH account AS (
      INSERT INTO users (id, name, email, password_hash) VALUES (${id}, 'Ada', ${email}, 'none')
    )
    INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at)
    VALUES (${session_id}, ${id}, ${session_id}, sha256(uuid_send(${session_id})), now() + interval '1 day')
  `);
  const token = signAccessToken(deps.tokenKeys, { user_id: id, session_id }, 900);
  const request = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) =>
    send(origin, method, path, { body, headers: { authorization: `Bearer ${token}`, ...headers } });
  const place = async (
    order: object = { product_name: 'Kettle', amount: '34.90' },
  ): Promise<string> => (await request('POST', '/orders', order)).body.id;
  return { id, email, token, session_id, request, place };
}

/**
 * Processes all ready jobs of a queue now, through the worker's own `runBatch`, without polling. `early` also claims
 * the jobs whose retry is not due yet. Returns the outcome of each job.
 */
export async function drain(
  deps: WorkerDeps,
  queue: QueueName,
  { early = false, batchSize = 100 } = {},
) {
  const outcomes: string[] = [];
  for (;;) {
    const jobs = await claim(deps, queue, { early, batchSize });
    if (jobs.length === 0) return outcomes;
    for (const result of await runClaimedBatch(asWorker(deps), queue, jobs)) {
      const job = jobs.filter(({ id }) => id === result.id);
      if (result.status === 'deadletter') await useUpRetries(deps, queue, result.id);
      if (result.status === 'completed') await deps.boss.complete(queue, job);
      else await deps.boss.fail(queue, job, result.output as object);
      outcomes.push(result.status);
    }
    if (early || jobs.length < batchSize) return outcomes; // retries of these jobs are for later
  }
}

// pg-boss does not export its handling of the outcome `deadletter`. This has the same result.
async function useUpRetries(
  { pool }: Pick<Deps, 'pool'>,
  queue: QueueName,
  id: string,
): Promise<void> {
  await pool.query(sql.unsafe`
    UPDATE pgboss.job SET retry_limit = retry_count WHERE name = ${queue} AND id = ${id}
  `);
}

/** Claims jobs like a worker, and leaves them claimed. */
export async function claim(
  deps: WorkerDeps,
  queue: QueueName,
  { early = false, batchSize = 100 } = {},
) {
  const options = { includeMetadata: true, batchSize, ignoreStartAfter: early } as const;
  const jobs: JobWithMetadata[] = await deps.boss.fetch<object>(queue, options);
  for (const job of jobs) job.signal ??= new AbortController().signal;
  return jobs;
}

/** The status of an order and of its job, read from the tables. */
export async function lookUp({ pool }: Pick<Deps, 'pool'>, id: string) {
  const Row = z.object({ status: z.string(), version: z.number(), job: z.string().nullable() });
  return pool.one(sql.type(Row)`
    SELECT o.status, o.version, j.state::text AS job
    FROM orders AS o LEFT JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
    WHERE o.id = ${id}
  `);
}
