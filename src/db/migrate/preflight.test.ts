import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { migrate as migrateWith } from '../../migrate.ts';
import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import {
  connect,
  editableSources,
  emptyToMigrate,
  migratedDatabase,
  objectsOf,
} from '../../../test/support/migrating.ts';
import { databaseUrl, onServer, testConfig } from '../../../test/support/template.ts';
import { reasonToRefuse, type ServerFacts } from './preflight.ts';

const FINE: ServerFacts = {
  version: 15,
  encoding: 'UTF8',
  standby: false,
  connectedTo: 42,
  answeredBy: [42, 42],
  unreleased: false,
};

const refusals: [string, Partial<ServerFacts>, RegExp][] = [
  ['an old server', { version: 14 }, /Postgres 14: 15 or newer/],
  ['another encoding', { encoding: 'LATIN1' }, /encoding is LATIN1: it must be UTF8/],
  ['a standby', { standby: true }, /standby.*primary/],
  ['a pooler that answers for a server process', { connectedTo: 7 }, /connection pooler/],
  ['a pooler that does not say which process it is', { connectedTo: null }, /connection pooler/],
  ['a pooler that changes server processes', { answeredBy: [42, 43] }, /connection pooler/],
  ['a database of an unreleased version', { unreleased: true }, /unreleased version/],
];

for (const [what, facts, reason] of refusals) {
  test(`${what} is refused`, (t) => {
    t.is(reasonToRefuse(FINE), undefined);
    t.regex(reasonToRefuse({ ...FINE, ...facts }) ?? '', reason);
  });
}

for (const table of ['migration_checksums (name text)', 'migrations (id int, run_on timestamp)']) {
  test(`a database with the table ${table} is refused, and stays as it is`, async (t) => {
    const { client, migrate } = await emptyToMigrate(t);
    await client.query(`CREATE TABLE ${table}`);

    const error = await t.throwsAsync(migrate(), { instanceOf: ReadableError });

    t.is(
      error.message,
      'This database was filled by an unreleased version of the service; it cannot be upgraded. ' +
        'Create a new database.',
    );
    const { rows } = await client.query(
      `SELECT FROM pg_namespace WHERE nspname IN ('pgboss', 'ops')`,
    );
    t.is(rows.length, 0);
  });
}

test('a database in another encoding is refused', async (t) => {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await onServer(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
  t.teardown(() => onServer(`DROP DATABASE ${name} WITH (FORCE)`));

  const { log } = t.context.deps;
  await t.throwsAsync(migrateWith(testConfig(name), log), { message: /encoding is LATIN1/ });
});

test('a connection that goes straight to the server says which process answers', async (t) => {
  const client = await connect(t, databaseUrl(t.context.database));

  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');

  t.is((client as Client & { processID: number }).processID, rows[0]?.pid ?? 0);
});

const REFUSED = 'This database has objects that migrate did not make, with names that it needs: ';

const foreign: [what: string, make: string, named: string][] = [
  ['a table', 'CREATE TABLE public.users (id int)', 'table public.users'],
  ['the table of migrations', 'CREATE TABLE public.migrations (id int)', 'table public.migrations'],
  [
    'an index',
    'CREATE TABLE t (id int CONSTRAINT orders_pk PRIMARY KEY)',
    'index public.orders_pk',
  ],
  ['a type', `CREATE TYPE public.order_status AS ENUM ('NEW')`, 'type public.order_status'],
  ['a schema', 'CREATE SCHEMA ops', 'schema ops'],
  ['the schema of a queue', 'CREATE SCHEMA pgboss', 'schema pgboss'],
  [
    'a function',
    `CREATE FUNCTION public.place_order(int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    'function public.place_order(integer)',
  ],
  [
    'a table of our owner',
    'CREATE TABLE public.orders (id int); ALTER TABLE public.orders OWNER TO oms_owner',
    'table public.orders',
  ],
];

for (const [what, make, named] of foreign) {
  test(`${what} with a name that migrate needs is named at once, and stays`, async (t) => {
    const { client, logged, migrate } = await emptyToMigrate(t);
    await client.query(make);
    const before = await objectsOf(client);

    const error = await t.throwsAsync(migrate(), { instanceOf: ReadableError });

    t.is(error.message, `${REFUSED}${named}. Rename or drop them, or use another database.`);
    t.deepEqual(logged, []);
    t.deepEqual(await objectsOf(client), before);
  });
}

test('a name that a new version needs, and a person has used as our role, is named', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await client.query(`
    SET ROLE oms_owner;
    CREATE VIEW ops.sample AS SELECT 1 AS one;
    CREATE FUNCTION ops.explain_job(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    RESET ROLE;
  `);
  await sources.define('ops/sample.sql', 'CREATE OR REPLACE VIEW ops.sample AS SELECT 2 AS one;');

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

  t.true(
    error.message.startsWith(`${REFUSED}function ops.explain_job(integer), view ops.sample. `),
    error.message,
  );
  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1 }]);
});
