import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { pino } from 'pino';
import { migrate } from '../migrate.ts';
import { ReadableError } from '../process.ts';
import { ownService, signUp, test, type Context } from '../testing/context.ts';
import { eventsOf } from '../testing/orders.ts';
import { databaseUrl, onServer, testConfig } from '../testing/template.ts';
import { emptyToMigrate } from '../testing/migrating.ts';
import { OWN_SOURCES, readSql } from './migrate/sources.ts';
import { serviceUrl } from './roles.ts';

const DENIED = '42501';

/** What each role is refused. Each line is tried as the role, and must be denied for lack of a right. */
const refusals: Record<string, string[]> = {
  oms_api: [
    `UPDATE pgboss.job SET state = 'completed'`,
    `DELETE FROM pgboss.job`,
    `UPDATE orders SET amount = 1`,
    `UPDATE orders SET user_id = gen_random_uuid()`,
    `DELETE FROM orders`,
    `INSERT INTO order_events (order_id, version, to_status, actor, hash) SELECT id, 9, status, 'x', '' FROM orders`,
    `UPDATE order_events SET actor = 'nobody'`,
    `DELETE FROM order_events`,
    `TRUNCATE order_events`,
    `ALTER TABLE orders DISABLE TRIGGER ALL`,
    `ALTER TABLE order_events DISABLE TRIGGER ALL`,
    `DROP TRIGGER orders_50_require_job ON orders`,
    `DELETE FROM idempotency_keys`,
    `UPDATE users SET password_hash = 'mine'`,
    `DELETE FROM users`,
    `INSERT INTO order_transitions VALUES ('CANCELLED', 'COMPLETED', 'why not')`,
    `CREATE TABLE mine (id int)`,
    `SELECT enqueue_order(gen_random_uuid(), pg_current_xact_id())`,
    `SET session_replication_role = replica`,
    `SELECT ops.retry_order(gen_random_uuid(), 'why not')`,
    `SELECT queue FROM paused_queues`,
  ],
  oms_worker: [
    `INSERT INTO orders (id, user_id, product_name, amount) SELECT gen_random_uuid(), gen_random_uuid(), 'x', 1`,
    `UPDATE orders SET product_name = 'other'`,
    `DELETE FROM orders`,
    `INSERT INTO order_events (order_id, version, to_status, actor, hash) SELECT id, 9, status, 'x', '' FROM orders`,
    `UPDATE order_events SET actor = 'nobody'`,
    `DELETE FROM order_events`,
    `ALTER TABLE orders DISABLE TRIGGER ALL`,
    `SELECT password_hash FROM users`,
    `UPDATE refresh_tokens SET revoked_at = NULL`,
    `INSERT INTO idempotency_keys (key) VALUES ('k')`,
    `UPDATE idempotency_keys SET body = '{}'`,
    `INSERT INTO order_transitions VALUES ('CANCELLED', 'COMPLETED', 'why not')`,
    `CREATE TABLE public.mine (id int)`,
    `SELECT place_order(gen_random_uuid(), 'Kettle', 1)`,
    `SELECT ops.cancel_order(gen_random_uuid(), 'why not')`,
    `DELETE FROM paused_queues`,
    `SELECT reason FROM operator_actions`,
    // What would run with the rights of whoever migrates, or of a function of the owner's.
    `CREATE OR REPLACE FUNCTION pgboss.job_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'`,
    `CREATE TRIGGER mine BEFORE UPDATE ON pgboss.queue EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
    `CREATE TRIGGER mine BEFORE INSERT ON pgboss.job EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
    `ALTER TABLE pgboss.job DISABLE TRIGGER ALL`,
    `DROP TABLE pgboss.queue CASCADE`,
  ],
  oms_dba_read: [
    `SELECT id FROM orders`,
    `SELECT id FROM users`,
    `SELECT actor FROM order_events`,
    `SELECT key FROM idempotency_keys`,
    `SELECT data FROM pgboss.job`,
    `UPDATE orders SET status = 'CANCELLED'`,
    `SELECT place_order(gen_random_uuid(), 'Kettle', 1)`,
    `SELECT ops.pause_queue('prune', 'why not')`,
    `SELECT ops.redrive('prune')`,
    `SELECT job_ids FROM worker_holds`,
  ],
  oms_dba: [
    `SELECT email FROM users`,
    `SELECT data FROM pgboss.job`,
    `UPDATE pgboss.job SET state = 'completed'`,
    `UPDATE orders SET status = 'CANCELLED'`,
    `DELETE FROM order_events`,
    `INSERT INTO orders (id, user_id, product_name, amount) SELECT gen_random_uuid(), gen_random_uuid(), 'x', 1`,
    `INSERT INTO paused_queues (queue, reason) VALUES ('prune', 'off the record')`,
    `UPDATE operator_actions SET reason = 'other'`,
    `SELECT ops._put_back(gen_random_uuid(), 'retry_order', 'off the record')`,
  ],
  oms_auditor: [
    `SELECT email FROM users`,
    `SELECT token_hash FROM refresh_tokens`,
    `SELECT body FROM idempotency_keys`,
    `DELETE FROM idempotency_keys`,
    `UPDATE orders SET status = 'CANCELLED'`,
    `DELETE FROM order_events`,
    `UPDATE pgboss.job SET state = 'completed'`,
    `SELECT place_order(gen_random_uuid(), 'Kettle', 1)`,
    `SELECT ops.release_worker(gen_random_uuid(), 'why not')`,
  ],
};

for (const [role, statements] of Object.entries(refusals)) {
  for (const statement of statements) {
    test(`${role} may not: ${statement}`, async (t) => {
      const client = await connectAs(t, role);

      const error = await t.throwsAsync<Error & { code?: string }>(client.query(statement));

      t.is(error.code, DENIED, error.message);
    });
  }
}

/** What each role is there for. */
const permissions: Record<string, string[]> = {
  oms_api: ['SELECT id FROM orders FOR UPDATE', 'SELECT version FROM pgboss.version'],
  oms_worker: [`UPDATE orders SET status = status`, `SELECT state FROM pgboss.job FOR UPDATE`],
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

test('a worker is a member of no role that owns anything of ours', async (t) => {
  const client = await connectAs(t, undefined);

  const { rows } = await client.query<{ role: string; member: boolean }>(`
    SELECT role, pg_has_role('oms_worker', role, 'MEMBER') AS member
    FROM unnest(ARRAY['oms_owner', 'oms_queue', 'oms_api']) AS role
  `);

  t.deepEqual(
    rows.filter(({ member }) => member),
    [],
  );
});

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

test('every function that works with its owner’s rights pins its search_path', async (t) => {
  const client = await connectAs(t, undefined);

  const { rows } = await client.query<{ name: string; pinned: boolean }>(`
    SELECT p.oid::regprocedure::text AS name,
      coalesce(array_to_string(p.proconfig, ',') ~ '^search_path=|,search_path=', false) AS pinned
    FROM pg_proc AS p
    WHERE p.prosecdef AND p.pronamespace::regnamespace::text IN ('public', 'ops', 'audit')
  `);

  t.true(rows.length >= 4);
  t.deepEqual(
    rows.filter(({ pinned }) => !pinned),
    [],
  );
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
