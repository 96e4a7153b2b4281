import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { ensureDatabase, startPostgresIn } from '../../src/local/postgres.ts';
import { migrate as migrateWith } from '../../src/migrate.ts';
import { test, type Context } from '../support/context.ts';
import { loginUrl } from '../support/logins.ts';
import { column, connect, migratedDatabase } from '../support/migrating.ts';
import { temporaryFolder } from '../support/processes.ts';
import { FAST_AND_FORGETFUL } from '../support/servers.ts';
import { testConfig } from '../support/template.ts';

test('a migrate removes settings that a thief made for a role in this database, and logs them once', async (t) => {
  const { database, client, logged, migrate } = await migratedDatabase(t);
  const thief = await connect(t, loginUrl('oms_worker', database));
  await thief.query(`ALTER ROLE oms_worker IN DATABASE ${database} SET synchronous_commit = off`);
  await thief.query(
    `ALTER ROLE oms_worker IN DATABASE ${database} SET default_transaction_read_only = on`,
  );
  await client.query(`ALTER ROLE oms_worker IN DATABASE ${database} SET log_duration = off`);

  await migrate();
  await migrate();

  const left = `SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  t.deepEqual(
    await column(client, left),
    ['log_duration=off'],
    'a setting that only a superuser can make stays',
  );
  t.deepEqual(logged, [
    'settings of roles were removed: default_transaction_read_only of oms_worker, ' +
      'synchronous_commit of oms_worker',
  ]);
});

test('a migrate removes settings that a thief made for a role in all databases', async (t) => {
  const { client, logged, again } = await ownServer(t);
  await client.query(`
    ALTER ROLE oms_api SET synchronous_commit = off;
    ALTER ROLE oms_dba SET statement_timeout = '1ms';
    ALTER ROLE oms_auditor SET search_path = pg_temp;
  `);

  await again();

  t.deepEqual(logged, [
    'settings of roles were removed: synchronous_commit of oms_api, search_path of oms_auditor, ' +
      'statement_timeout of oms_dba',
  ]);
  const left = await column(
    client,
    'SELECT DISTINCT setrole::regrole::text FROM pg_db_role_setting ORDER BY 1',
  );
  t.deepEqual(left, ['oms_auditor', 'oms_dba_read']);
});

test('each migrate logs roles and tables with more rights than the service needs', async (t) => {
  const { client, logged, again } = await ownServer(t);
  await client.query(`
    ALTER ROLE oms_api BYPASSRLS CREATEROLE;
    GRANT pg_read_all_data TO oms_worker;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
  `);

  await again();

  t.deepEqual(logged, [
    'role oms_api is CREATEROLE, BYPASSRLS, which no role of the service needs',
    'role oms_worker is a member of pg_read_all_data, which sql/roles.sql does not list',
    'row security is enabled on orders, which no table of the service needs',
  ]);
});

/** A migrated database on a server of its own, because roles belong to the whole server. */
async function ownServer(t: ExecutionContext<Context>) {
  const postgres = await startPostgresIn(takeDataDir(temporaryFolder(t)), FAST_AND_FORGETFUL);
  t.teardown(postgres.stop);
  await ensureDatabase(postgres, 'orders');
  const config = { ...testConfig('orders'), DATABASE_URL: postgres.url('orders') };
  const logged: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => logged.push(JSON.parse(line).msg) });
  await migrateWith(config, log);
  t.deepEqual(logged, []);
  const client = await connect(t, config.DATABASE_URL);
  return { client, logged, again: () => migrateWith(config, log) };
}
