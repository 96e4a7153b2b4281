import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { migrate } from '../../migrate.ts';
import { ReadableError } from '../../process.ts';
import { ownService, test } from '../../../test/support/context.ts';
import {
  column,
  connect,
  emptyToMigrate,
  migratedDatabase,
} from '../../../test/support/migrating.ts';
import { databaseUrl, onServer, testConfig } from '../../../test/support/template.ts';
import { ROLES } from './roles.ts';
import { OWN_SOURCES, readSql } from './sources.ts';

test('the list of roles in the code contains every role of sql/roles.sql', async (t) => {
  const { client } = await migratedDatabase(t);

  const roles = await column(
    client,
    `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'oms\\_%' AND rolname NOT LIKE 'oms\\_test\\_%'`,
  );

  t.true(roles.length >= 9);
  for (const role of roles) t.true(ROLES.includes(role), role);
});

test('migrate leaves the right to create objects in public only to the two owners', async (t) => {
  const { client, migrate: migrateAgain } = await migratedDatabase(t);
  for (const role of ROLES) await client.query(`GRANT CREATE ON SCHEMA public TO ${role}`);

  await migrateAgain();

  const able = await column(
    client,
    `SELECT role FROM unnest(ARRAY['${ROLES.join("','")}']) AS r (role)
    WHERE has_schema_privilege(role, 'public', 'CREATE') ORDER BY role`,
  );
  t.deepEqual(able, ['oms_owner', 'oms_queue']);
});

test('objects of others in schema public keep their owner', async (t) => {
  const { database } = await ownService(t);
  const client = await connect(t, databaseUrl(database));
  await client.query('CREATE TABLE scratch (id int)');
  await client.query(
    `CREATE FUNCTION public.theirs() RETURNS int LANGUAGE sql AS 'SELECT 7'; GRANT CREATE ON SCHEMA public TO PUBLIC`,
  );

  await migrate(testConfig(database), pino({ level: 'silent' }));

  const { rows } = await client.query<{ owned: boolean; called: boolean; open: boolean }>(`
    SELECT c.relowner = 'oms_owner'::regrole AS owned,
      has_function_privilege('oms_auditor', 'theirs()', 'EXECUTE') AS called,
      has_schema_privilege('oms_dba', 'public', 'CREATE') AS open
    FROM pg_class AS c WHERE c.oid = 'scratch'::regclass
  `);
  t.deepEqual(rows, [{ owned: false, called: true, open: false }]);
});

test('migrate without sufficient rights fails with a message that says which login it needs', async (t) => {
  const role = `oms_test_${randomBytes(4).toString('hex')}`;
  const admin = await connect(t, databaseUrl(t.context.database));
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'a-password'`);
  t.teardown(() => onServer(`DROP ROLE ${role}`));
  const url = new URL(databaseUrl(t.context.database));
  [url.username, url.password] = [role, 'a-password'];
  const config = { ...testConfig(t.context.database), DATABASE_URL: url.href };

  const error = await t.throwsAsync(migrate(config, pino({ level: 'silent' })), {
    instanceOf: ReadableError,
  });

  t.regex(error.message, /^Migrating needs the login of a superuser, or of oms_owner after/);
});

test('a member of oms_owner who is no superuser can migrate a prepared database', async (t) => {
  const role = `oms_test_${randomBytes(4).toString('hex')}`;
  const { database, client } = await emptyToMigrate(t);
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'a-password' IN ROLE oms_owner`);
  t.teardown(() => onServer(`DROP ROLE ${role}`));
  await client.query(await readSql(OWN_SOURCES, 'database.sql'));
  const url = new URL(databaseUrl(database));
  [url.username, url.password] = [role, 'a-password'];
  const config = { ...testConfig(database), DATABASE_URL: url.href };

  await t.notThrowsAsync(migrate(config, pino({ level: 'silent' })));
  await t.notThrowsAsync(migrate(config, pino({ level: 'silent' })));

  const { rows } = await client.query(`SELECT FROM pg_class WHERE relowner = '${role}'::regrole`);
  t.is(rows.length, 0);
});
