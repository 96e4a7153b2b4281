import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { migrate as migrateWith } from '../../migrate.ts';
import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import { connect, emptyToMigrate } from '../../../test/support/migrating.ts';
import { databaseUrl, onServer, testConfig } from '../../../test/support/template.ts';
import { reasonToRefuse, type ServerFacts } from './preflight.ts';

const GOOD: ServerFacts = {
  version: 15,
  encoding: 'UTF8',
  standby: false,
  connectedTo: 42,
  answeredBy: [42, 42],
  unreleased: false,
};

const refusals: [string, Partial<ServerFacts>, RegExp][] = [
  ['an old server', { version: 14 }, /Postgres 14: migrate needs 15 or newer/],
  [
    'another encoding',
    { encoding: 'LATIN1' },
    /encoding of this database is LATIN1: it must be UTF8/,
  ],
  ['a standby', { standby: true }, /standby.*primary/],
  ['a pooler that connects to another server process', { connectedTo: 7 }, /connection pooler/],
  ['a pooler that reports no server process', { connectedTo: null }, /connection pooler/],
  ['a pooler that uses two server processes', { answeredBy: [42, 43] }, /connection pooler/],
  ['a database of an unreleased version', { unreleased: true }, /unreleased version/],
];

for (const [what, facts, reason] of refusals) {
  test(`${what} is refused`, (t) => {
    t.is(reasonToRefuse(GOOD), undefined);
    t.regex(reasonToRefuse({ ...GOOD, ...facts }) ?? '', reason);
  });
}

for (const table of ['migration_checksums (name text)', 'migrations (id int, run_on timestamp)']) {
  test(`a database with the table ${table} is refused, and does not change`, async (t) => {
    const { client, migrate } = await emptyToMigrate(t);
    await client.query(`CREATE TABLE ${table}`);

    const error = await t.throwsAsync(migrate(), { instanceOf: ReadableError });

    t.is(
      error.message,
      'An unreleased version of the service has filled this database; it cannot be upgraded. ' +
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
  await t.throwsAsync(migrateWith(testConfig(name), log), {
    message: /encoding of this database is LATIN1/,
  });
});

test('a connection without a pooler reports the server process that answers', async (t) => {
  const client = await connect(t, databaseUrl(t.context.database));

  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');

  t.is((client as Client & { processID: number }).processID, rows[0]?.pid ?? 0);
});
