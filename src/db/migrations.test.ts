import { appendFile, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { pino } from 'pino';
import { queues } from '../../jobs/queues.ts';
import { migrate } from '../migrate.ts';
import { emptyDatabase, test, type Context } from '../testing/context.ts';
import { testConfig } from '../testing/template.ts';
import { applyMigrations, MigrationEdited } from './migrations.ts';

const log = pino({ level: 'silent' });
const VIEWS = [
  '_holds',
  'actions',
  'cleanup_blockers',
  'dead_letters',
  'health',
  'jobs',
  'order_timeline',
  'paused_queues',
  'queues',
  'stuck_orders',
  'workers',
];

test('an empty database becomes one that the service can work on', async (t) => {
  const { client, config } = await connectToEmpty(t);

  await migrate(config, log);

  const applied = await column(client, 'SELECT name FROM migrations ORDER BY name');
  t.deepEqual(applied, await migrationNames());
  t.deepEqual(await tablesOf(client, 'public'), [
    'audit_heads',
    'audit_runs',
    'idempotency_keys',
    'migration_checksums',
    'migrations',
    'operator_actions',
    'order_events',
    'order_transitions',
    'orders',
    'paused_queues',
    'refresh_tokens',
    'users',
    'worker_holds',
  ]);
  const known = await column(client, 'SELECT name FROM pgboss.queue');
  for (const queue of Object.keys(queues)) t.true(known.includes(queue), queue);
  for (const view of VIEWS) {
    await t.notThrowsAsync(client.query(`TABLE ops.${view}`), view);
  }
});

/** What is in sql/migrations. */
async function migrationNames(): Promise<string[]> {
  const files = await readdir(new URL('../../sql/migrations/', import.meta.url));
  return files.map((file) => file.replace(/\.sql$/, '')).sort();
}

test('migrating again changes nothing but the views, which are made anew', async (t) => {
  const { client, config } = await connectToEmpty(t);
  await migrate(config, log);
  const before = await objectsOf(client);
  const viewsBefore = await viewsOf(client);

  await migrate(config, log);

  t.deepEqual(await objectsOf(client), before);
  const viewsAfter = await viewsOf(client);
  t.deepEqual(
    viewsAfter.map(({ name }) => name),
    viewsBefore.map(({ name }) => name),
  );
  t.true(viewsAfter.every(({ oid }) => !viewsBefore.some((view) => view.oid === oid)));
});

test('two that migrate at the same moment both succeed', async (t) => {
  const { client, config } = await connectToEmpty(t);

  const results = await Promise.allSettled([migrate(config, log), migrate(config, log)]);

  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled'],
  );
  t.is(
    (await column(client, 'SELECT name FROM migrations')).length,
    (await migrationNames()).length,
  );
  t.is((await viewsOf(client)).length, VIEWS.length);
});

test('a view that somebody has spoilt is put right by the next migration', async (t) => {
  const { client, config } = await connectToEmpty(t);
  await migrate(config, log);
  await client.query(`
    DROP VIEW ops.stuck_orders;
    CREATE VIEW ops.stuck_orders AS SELECT 1 AS wrong;
    CREATE VIEW ops.left_over AS SELECT 1 AS old;
  `);

  await migrate(config, log);

  t.deepEqual(
    (await viewsOf(client)).map(({ name }) => name),
    VIEWS,
  );
  await t.notThrowsAsync(client.query('SELECT order_id FROM ops.stuck_orders'));
});

test('a migration that has been edited since it was applied is refused', async (t) => {
  const { client } = await connectToEmpty(t);
  const dir = await copyOfMigrations(t);
  await applyMigrations(client, log, dir);
  const before = await objectsOf(client);

  await appendFile(new URL('0001_users.sql', dir), '\n');
  await writeFile(new URL('0009_more.sql', dir), 'CREATE TABLE more (id int);');
  const error = await t.throwsAsync(applyMigrations(client, log, dir), {
    instanceOf: MigrationEdited,
  });

  t.regex(error.message, /0001_users/);
  t.notRegex(error.message, /0002_orders/);
  t.deepEqual(await objectsOf(client), before);
});

test('a migration that is gone since it was applied is missed', async (t) => {
  const { client } = await connectToEmpty(t);
  const dir = await copyOfMigrations(t);
  await applyMigrations(client, log, dir);

  await rm(new URL('0002_orders.sql', dir));

  const error = await t.throwsAsync(applyMigrations(client, log, dir));
  t.regex(error.message, /0002_orders/);
});

test('when an edited migration is refused, the views stay', async (t) => {
  const { client, config } = await connectToEmpty(t);
  await migrate(config, log);
  await client.query(`UPDATE migration_checksums SET sha256 = 'another' WHERE name = '0001_users'`);

  await t.throwsAsync(migrate(config, log), { instanceOf: MigrationEdited });

  t.is((await viewsOf(client)).length, VIEWS.length);
});

test('a new migration is applied, once, and those before it are not', async (t) => {
  const { client } = await connectToEmpty(t);
  const dir = await copyOfMigrations(t);
  await applyMigrations(client, log, dir);
  const before = await objectsOf(client);

  await writeFile(new URL('0009_more.sql', dir), 'CREATE TABLE more (id int);');
  await applyMigrations(client, log, dir);
  await applyMigrations(client, log, dir);

  const added = (await objectsOf(client)).filter(
    ({ name }) => !before.some((o) => o.name === name),
  );
  t.deepEqual(
    added.map(({ name }) => name),
    ['more'],
  );
});

test('a migration that fails leaves nothing behind, and can be mended', async (t) => {
  const { client, config } = await connectToEmpty(t);
  const dir = await copyOfMigrations(t);
  await applyMigrations(client, log, dir);
  const file = new URL('0009_more.sql', dir);

  await writeFile(file, 'CREATE TABLE more (id int); SELECT 1 / 0;');
  const failing = new Client(config.DATABASE_URL);
  await failing.connect();
  await t.throwsAsync(applyMigrations(failing, log, dir), { message: /division by zero/ });
  await failing.end();
  const afterFailure = await tablesOf(client, 'public');
  await writeFile(file, 'CREATE TABLE more (id int);');
  await applyMigrations(client, log, dir);

  t.false(afterFailure.includes('more'));
  t.true((await tablesOf(client, 'public')).includes('more'));
});

test('a migration that comes late, with a number before others, is refused', async (t) => {
  const { client } = await connectToEmpty(t);
  const dir = await copyOfMigrations(t);
  await applyMigrations(client, log, dir);

  await writeFile(new URL('0001_z_late.sql', dir), 'CREATE TABLE late (id int);');

  await t.throwsAsync(applyMigrations(client, log, dir), { message: /order/i });
  t.false((await tablesOf(client, 'public')).includes('late'));
});

async function connectToEmpty(t: ExecutionContext<Context>) {
  const config = testConfig(await emptyDatabase(t));
  const client = new Client(config.DATABASE_URL);
  await client.connect();
  t.teardown(() => client.end());
  return { client, config };
}

async function copyOfMigrations(t: ExecutionContext<Context>): Promise<URL> {
  const path = await mkdtemp(`${tmpdir()}/oms-migrations-`);
  t.teardown(() => rm(path, { recursive: true }));
  await cp(new URL('../../sql/migrations/', import.meta.url), path, { recursive: true });
  return pathToFileURL(`${path}/`);
}

async function column(client: Client, query: string): Promise<string[]> {
  const { rows } = await client.query<[string]>({ text: query, rowMode: 'array' });
  return rows.map(([value]) => value);
}

function tablesOf(client: Client, schema: string): Promise<string[]> {
  return column(
    client,
    `SELECT tablename::text FROM pg_tables WHERE schemaname = '${schema}' ORDER BY tablename`,
  );
}

/** Every table, index and type of ours and of the queue, with what changes when it is made anew. */
async function objectsOf(client: Client) {
  const { rows } = await client.query<{ name: string; oid: number }>(`
    SELECT relname AS name, oid FROM pg_class
    WHERE relnamespace IN ('public'::regnamespace, to_regnamespace('pgboss')::oid)
    ORDER BY oid
  `);
  return rows;
}

async function viewsOf(client: Client) {
  const { rows } = await client.query<{ name: string; oid: number }>(`
    SELECT relname AS name, oid FROM pg_class
    WHERE relnamespace = to_regnamespace('ops') ORDER BY relname
  `);
  return rows;
}
