import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { signUp, test, type Context } from '../../test/support/context.ts';
import { eventsOf } from '../../test/support/orders.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { serviceUrl } from './roles.ts';

/** Statements that the purpose of each role needs. */
const permissions: Record<string, string[]> = {
  oms_api: [
    'SELECT id FROM orders LIMIT 1',
    'SELECT version FROM pgboss.version',
    `SELECT ready FROM ops.backlog('process-order')`,
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
  test(`${role} has the rights that its purpose needs`, async (t) => {
    const client = await connectAs(t, role);
    for (const statement of statements) await t.notThrowsAsync(client.query(statement), statement);
  });
}

test('an order that a DBA places from psql has a job for a worker', async (t) => {
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
  test(`a session of ${role} is read-only and has a statement timeout`, async (t) => {
    const client = await connectAs(t, undefined);

    const { rows } = await client.query<{ setconfig: string[] }>(
      `SELECT setconfig FROM pg_db_role_setting WHERE setrole = '${role}'::regrole`,
    );

    const settings = rows.flatMap(({ setconfig }) => setconfig).join();
    t.regex(settings, /default_transaction_read_only=on/);
    t.regex(settings, /statement_timeout=/);
  });
}

test('a DBA who places an order cannot set another actor or a reason in its event', async (t) => {
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

test('a service with a password logs in as its role, and a service without one uses SET ROLE', (t) => {
  const url = 'postgres://postgres:secret@db:5432/orders';

  t.is(serviceUrl(url, 'oms_api', 'p@ss'), 'postgres://oms_api:p%40ss@db:5432/orders');
  t.is(
    serviceUrl(url, 'oms_api'),
    'postgres://postgres:secret@db:5432/orders?options=-c%20role%3Doms_api',
  );
});

async function connectAs(t: ExecutionContext<Context>, role: string | undefined): Promise<Client> {
  const client = new Client(databaseUrl(t.context.database));
  await client.connect();
  t.teardown(() => client.end());
  if (role) await client.query(`SET ROLE ${role}`);
  return client;
}
