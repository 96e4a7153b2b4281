import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { pino } from 'pino';
import { migrate } from '../migrate.ts';
import { ReadableError } from '../process.ts';
import { ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { eventsOf } from '../../test/support/orders.ts';
import { databaseUrl, onServer, testConfig } from '../../test/support/template.ts';
import { emptyToMigrate } from '../../test/support/migrating.ts';
import { OWN_SOURCES, readSql } from './migrate/sources.ts';
import { serviceUrl } from './roles.ts';

/** The purpose of each role. */
const permissions: Record<string, string[]> = {
  oms_api: [
    'SELECT id FROM orders LIMIT 1',
    'SELECT version FROM pgboss.version',
    'TABLE ops.queues',
  ],
  oms_worker: [
    `SELECT order_ids FROM process_orders(0, 'a-worker:1')`,
    'SELECT state FROM pgboss.job LIMIT 1 FOR UPDATE',
    'TABLE audit.violations',
  ],
  oms_dba_read: ['SELECT order_id FROM ops.stuck_orders', 'SELECT step FROM ops.order_timeline'],
  oms_dba: ['SELECT order_id FROM ops.stuck_orders'],
  oms_auditor: [
    'SELECT order_id FROM audit.violations LIMIT 1',
    'SELECT hash FROM order_events LIMIT 1',
    'SELECT key, order_id, xact_id FROM idempotency_keys LIMIT 1',
  ],
};

for (const [role, statements] of Object.entries(permissions)) {
  test(`${role} may do what it is there for`, async (t) => {
    const client = await connectAs(t, role);
    for (const statement of statements) await t.notThrowsAsync(client.query(statement), statement);
  });
}

test('a DBA places an order from psql that a worker will find', async (t) => {
  const user = await signUp(t.context);
  const client = await connectAs(t, 'oms_dba');

  const { rows } = await client.query<{ id: string }>(
    `SELECT place_order('${user.id}', 'Kettle', 34.90) AS id`,
  );

  const placed = await user.request('GET', `/orders/${rows[0]?.id}`);
  t.like(placed.body, { status: 'PENDING', product_name: 'Kettle', amount: '34.90' });
  const [job] = await t.context.deps.boss.findJobs('process-order', { id: rows[0]?.id ?? '' });
  t.is(job?.state, 'created');
});

for (const role of ['oms_dba_read', 'oms_auditor']) {
  test(`who logs in as ${role} reads only, and not for ever`, async (t) => {
    const client = await connectAs(t, undefined);

    const { rows } = await client.query<{ setconfig: string[] }>(
      `SELECT setconfig FROM pg_db_role_setting WHERE setrole = '${role}'::regrole`,
    );

    const settings = rows.flatMap(({ setconfig }) => setconfig).join();
    t.regex(settings, /default_transaction_read_only=on/);
    t.regex(settings, /statement_timeout=/);
  });
}

test('what else is in schema public stays its owner’s', async (t) => {
  const { database } = await ownService(t);
  const client = await connectAs(t, undefined, database);
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

test('a DBA who places an order is on record, whatever they say they are', async (t) => {
  const user = await signUp(t.context);
  const client = await connectAs(t, 'oms_dba');
  await client.query(`SET oms.actor = 'user'`);
  await client.query(`SET oms.reason = 'customer phoned'`);

  const { rows } = await client.query<{ id: string }>(
    `SELECT place_order('${user.id}', 'Kettle', 34.90) AS id`,
  );

  const [event] = await eventsOf(t.context.deps, rows[0]?.id ?? '');
  t.regex(event?.actor ?? '', /^role:/);
  t.is(event?.reason, null);
});

test('a user without the right to migrate is told what it takes', async (t) => {
  const role = `oms_test_${randomBytes(4).toString('hex')}`;
  const admin = await connectAs(t, undefined);
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'somebody'`);
  t.teardown(() => onServer(`DROP ROLE ${role}`));
  const url = new URL(databaseUrl(t.context.database));
  [url.username, url.password] = [role, 'somebody'];
  const config = { ...testConfig(t.context.database), DATABASE_URL: url.href };

  const error = await t.throwsAsync(migrate(config, pino({ level: 'silent' })), {
    instanceOf: ReadableError,
  });

  t.regex(error.message, /^Migrating needs a superuser, or oms_owner in a database/);
});

test('a login that is no superuser, but a member of oms_owner, migrates a prepared database', async (t) => {
  const role = `oms_test_${randomBytes(4).toString('hex')}`;
  const { database, client } = await emptyToMigrate(t);
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'somebody' IN ROLE oms_owner`);
  t.teardown(() => onServer(`DROP ROLE ${role}`));
  await client.query(await readSql(OWN_SOURCES, 'database.sql'));
  const url = new URL(databaseUrl(database));
  [url.username, url.password] = [role, 'somebody'];
  const config = { ...testConfig(database), DATABASE_URL: url.href };

  await t.notThrowsAsync(migrate(config, pino({ level: 'silent' })));
  await t.notThrowsAsync(migrate(config, pino({ level: 'silent' })));

  const { rows } = await client.query(`SELECT FROM pg_class WHERE relowner = '${role}'::regrole`);
  t.is(rows.length, 0);
});

test('with a password a service logs in as its role, without one it takes the role on', (t) => {
  const url = 'postgres://postgres:secret@db:5432/orders';

  t.is(serviceUrl(url, 'oms_api', 'p@ss'), 'postgres://oms_api:p%40ss@db:5432/orders');
  t.is(
    serviceUrl(url, 'oms_api'),
    'postgres://postgres:secret@db:5432/orders?options=-c+role%3Doms_api',
  );
});

async function connectAs(
  t: ExecutionContext<Context>,
  role: string | undefined,
  database = t.context.database,
): Promise<Client> {
  const client = new Client(databaseUrl(database));
  await client.connect();
  t.teardown(() => client.end());
  if (role) await client.query(`SET ROLE ${role}`);
  return client;
}
