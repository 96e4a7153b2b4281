import { getConstructionPlans, getMigrationPlans, getRollbackPlans, PgBoss } from 'pg-boss';
import { schemaState } from '../schema-version.ts';
import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import {
  column,
  emptyToMigrate,
  migratedDatabase,
  objectsOf,
  type Migrating,
} from '../../../test/support/migrating.ts';
import { openPool } from '../pool.ts';
import { alterQueue, withoutTransaction } from './queue-schema.ts';

const VERSION = 46;
const OLDEST_UPGRADABLE = 25;
const VERSIONS = `SELECT version FROM pgboss.version`;
const ROWS = `
  SELECT 'queue ' || name AS name, xmin::text FROM pgboss.queue
  UNION ALL SELECT 'schedule ' || name, xmin::text FROM pgboss.schedule
`;

const rowsOf = async ({ client }: Migrating) => {
  const { rows } = await client.query<{ name: string; xmin: string }>(ROWS);
  return new Map(rows.map(({ name, xmin }) => [name, xmin]));
};

test('no SQL of pg-boss ends the transaction of migrate', (t) => {
  const upgrades = Array.from({ length: VERSION - OLDEST_UPGRADABLE }, (_, i) =>
    getMigrationPlans('pgboss', OLDEST_UPGRADABLE + i),
  );
  for (const plan of [getConstructionPlans('pgboss'), ...upgrades]) {
    t.regex(plan, /^\s*BEGIN;/);
    const text = withoutTransaction(plan);
    t.notRegex(text, /\b(BEGIN|COMMIT);|lock_timeout|pg_advisory|CONCURRENTLY/);
    t.true(text.length > plan.length / 2);
  }
});

for (const text of ['SELECT 1; COMMIT; SELECT 2', 'BEGIN; SELECT 1; COMMIT;', 'ROLLBACK;']) {
  test(`SQL of pg-boss with an unknown form of transaction is refused: ${text}`, (t) => {
    t.throws(() => withoutTransaction(text), { message: /SQL with its own transaction/ });
  });
}

test('the schema of the queue is as pg-boss would make it', async (t) => {
  const { config, client } = await migratedDatabase(t);
  const boss = new PgBoss({ connectionString: config.DATABASE_URL, migrate: false });
  t.teardown(() => boss.stop({ graceful: false }));
  boss.on('error', () => undefined);
  const queues = await column(client, 'SELECT name FROM pgboss.queue ORDER BY name');

  await boss.start(); // like a worker with schedules, which would create their queue

  t.true((await boss.detectSchemaDrift()).ok);
  t.deepEqual(await column(client, 'SELECT name FROM pgboss.queue ORDER BY name'), queues);
  const owners = `SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'pgboss'::regnamespace`;
  t.deepEqual(await column(client, owners), ['oms_queue']);
});

test('an older schema of pg-boss is upgraded with its indexes', async (t) => {
  const { client, config, migrate } = await migratedDatabase(t);
  await client.query(getRollbackPlans('pgboss', VERSION));
  t.deepEqual(await column(client, VERSIONS), [VERSION - 1] as never);

  await migrate();

  const boss = new PgBoss({
    connectionString: config.DATABASE_URL,
    migrate: false,
    schedule: false,
  });
  t.teardown(() => boss.stop({ graceful: false }));
  await boss.start();
  t.true((await boss.detectSchemaDrift()).ok);
});

test('a statement in pgboss.bam is not executed', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  await client.query(getRollbackPlans('pgboss', VERSION));
  await client.query(`
    INSERT INTO pgboss.bam (name, version, status, table_name, command)
    VALUES ('mine', ${VERSION}, 'pending', 'job', 'CREATE TABLE public.mine (id int)')
  `);

  await migrate();
  await migrate();

  t.deepEqual(await column(client, 'SELECT status FROM pgboss.bam'), ['pending']);
  t.deepEqual(await column(client, `SELECT to_regclass('public.mine')::text`), [null as never]);
});

test('a table name in pgboss.queue that does not have the form of a queue’s is refused', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  await client.query(getRollbackPlans('pgboss', VERSION));
  await client.query(`
    INSERT INTO pgboss.queue (name, policy, retry_limit, retry_delay, retry_backoff, expire_seconds,
      retention_seconds, deletion_seconds, partition, table_name)
    VALUES ('mine', 'standard', 0, 0, false, 1, 1, 1, true, 'job (id); CREATE TABLE public.mine (id int); --')
  `);

  await t.throwsAsync(migrate(), {
    instanceOf: ReadableError,
    message: /not a queue's: job \(id\)/,
  });
});

test('when the upgrade of pg-boss’s schema fails, nothing changes', async (t) => {
  const { client, config, log, migrate } = await migratedDatabase(t);
  await client.query(getRollbackPlans('pgboss', VERSION));
  await client.query(`
    DROP FUNCTION pgboss.create_queue(text, jsonb);
    CREATE FUNCTION pgboss.create_queue(queue_name text, options jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
    ALTER FUNCTION pgboss.create_queue(text, jsonb) OWNER TO oms_queue;
  `);
  const before = await objectsOf(client);

  await t.throwsAsync(migrate(), { message: /cannot change return type/ });

  t.deepEqual(await objectsOf(client), before);
  t.deepEqual(await column(client, VERSIONS), [VERSION - 1] as never);
  const pool = await openPool(config, log);
  t.teardown(() => pool.end());
  t.is(await schemaState(pool), 'ok');
});

test('when pg-boss’s schema cannot be created, the database stays empty', async (t) => {
  const { client, migrate } = await emptyToMigrate(t);
  await client.query(`CREATE SCHEMA pgboss; CREATE TYPE pgboss.job_state AS ENUM ('mine')`);

  await t.throwsAsync(migrate({ timeoutMs: 1 }));

  const left = await column(
    client,
    `SELECT relname::text FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'pgboss'::regnamespace)`,
  );
  t.deepEqual(left, []);
});

test('a schema of the queue from a newer version is refused', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  await client.query(`UPDATE pgboss.version SET version = ${VERSION + 1}`);

  await t.throwsAsync(migrate(), {
    instanceOf: ReadableError,
    message: /a newer version has migrated/,
  });
});

test('a queue and a schedule that were changed by hand are restored, and no others are written', async (t) => {
  const migrating = await migratedDatabase(t);
  const { client, migrate } = migrating;
  await client.query(
    `UPDATE pgboss.queue SET retry_limit = 77, dead_letter = NULL WHERE name = 'process-order'`,
  );
  await client.query(`UPDATE pgboss.schedule SET cron = '1 1 1 1 *' WHERE name = 'prune'`);
  const before = await rowsOf(migrating);

  await migrate();

  const after = await rowsOf(migrating);
  const written = [...after]
    .filter(([name, xmin]) => before.get(name) !== xmin)
    .map(([name]) => name);
  t.deepEqual(written.toSorted(), ['queue process-order', 'schedule prune']);
  const fixed = `SELECT retry_limit || ' ' || dead_letter FROM pgboss.queue WHERE name = 'process-order'`;
  t.deepEqual(await column(client, fixed), ['12 fail-order']);
});

test('a change of the queue’s tables drops the views on them, and the definitions make them again', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const change = 'ALTER TABLE pgboss.queue ALTER COLUMN ready_count TYPE bigint';
  await t.throwsAsync(client.query(change), { message: /used by a view or rule/ });
  await client.query('BEGIN; SET LOCAL ROLE oms_queue');

  await alterQueue(client, change);

  await client.query('COMMIT');
  t.deepEqual(await column(client, `SELECT to_regclass('ops.queues')::text`), [null as never]);
  await migrate();
  await t.notThrowsAsync(client.query('TABLE ops.queues'));
});

test('a change of the queue’s tables is refused when a foreign view depends on a view of the service', async (t) => {
  const { client } = await migratedDatabase(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT queue FROM ops.queues');
  await client.query('BEGIN; SET LOCAL ROLE oms_queue');
  const change = 'ALTER TABLE pgboss.queue ALTER COLUMN ready_count TYPE bigint';

  await t.throwsAsync(alterQueue(client, change), {
    instanceOf: ReadableError,
    message:
      /^view public\.bi_queues depends on ops\.queues, which reads tables that pg-boss changes/,
  });
});
