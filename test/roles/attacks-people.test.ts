import { pino } from 'pino';
import { migrate } from '../../src/migrate.ts';
import { DENIED, prepare, testAttacks, testNothingElse, type Attack } from '../support/attacks.ts';
import { commonAttacks } from '../support/common-attacks.ts';
import { test } from '../support/context.ts';
import { logIn, LOGINS } from '../support/logins.ts';
import { testConfig } from '../support/template.ts';

// ops._alive is not here: its argument has a type of schema pgboss, and a login without USAGE there cannot name it.
const READS = [
  'ops._error_of',
  'ops._live_bytes',
  'ops._percentile',
  'ops._printable',
  'ops.backlog',
  'ops.explain_job',
  'public.reason_code',
];

testNothingElse('a read-only DBA', 'oms_dba_read', { calls: READS });
testNothingElse('a DBA', 'oms_dba', {
  calls: [
    ...READS,
    'public.place_order',
    ...[
      'retry_order',
      'cancel_order',
      'redrive',
      'pause_queue',
      'resume_queue',
      'release_worker',
      'reset_password',
    ].map((action) => `ops.${action}`),
  ],
});
testNothingElse('an auditor', 'oms_auditor', {
  calls: [
    'public.order_content_hash_v1',
    'public.order_event_hash_v1',
    'audit.bound_on_progress',
    'audit.events_digest',
  ],
});

const readers: Attack[] = [
  ['retry an order', (on) => `SELECT ops.retry_order('${on.givenUp}', 'x')`, DENIED],
  ['cancel an order', (on) => `SELECT ops.cancel_order('${on.order}', 'x')`, DENIED],
  ['place an order', (on) => `SELECT place_order('${on.user}', 'Kettle', 1)`, DENIED],
  ['pause a queue', `SELECT ops.pause_queue('prune', 'x')`, DENIED],
  ['change an order', `UPDATE orders SET status = 'CANCELLED'`, DENIED],
];
const tables: Attack[] = [
  ['read payloads of jobs', 'SELECT data FROM pgboss.job', DENIED],
  ['read orders without the views', 'SELECT product_name FROM orders', DENIED],
  ['read e-mail addresses', 'SELECT email FROM users', DENIED],
];

testAttacks('a read-only DBA', 'oms_dba_read', [
  ...readers,
  ...tables,
  ...commonAttacks('oms_dba_read'),
]);
testAttacks('an auditor', 'oms_auditor', [
  ...readers,
  ['read e-mail addresses', 'SELECT email FROM users', DENIED],
  ['explain a job', (on) => `SELECT ops.explain_job('${on.order}')`, DENIED],
  ...commonAttacks('oms_auditor'),
]);

testAttacks('a DBA', 'oms_dba', [
  ...tables,
  [
    'act without a record',
    (on) => `SELECT ops._put_back('${on.givenUp}', 'retry_order', 'x')`,
    DENIED,
  ],
  ['act with a blank reason', (on) => `SELECT ops.retry_order('${on.givenUp}', E' \\t')`, 'OM008'],
  ['act with NULL as reason', (on) => `SELECT ops.retry_order('${on.givenUp}', NULL)`, 'OM008'],
  [
    'retry an order that is completed',
    (on) => `SELECT ops.retry_order('${on.done}', 'x')`,
    'OM006',
  ],
  ['retry an order with NULL as id', `SELECT ops.retry_order(NULL, 'x')`, 'OM005'],
  [
    'cancel an order that is completed',
    (on) => `SELECT ops.cancel_order('${on.done}', 'x')`,
    'OM006',
  ],
  ['pause an unknown queue', `SELECT ops.pause_queue('x', 'x')`, 'OM005'],
  ['pause a queue of pg-boss itself', `SELECT ops.pause_queue('__pgboss__send-it', 'x')`, 'OM005'],
  ['redrive without a limit', `SELECT ops.redrive('prune', NULL, false, 'x')`, 'OM008'],
  ['release an unknown worker', `SELECT ops.release_worker(gen_random_uuid(), 'x')`, 'OM005'],
  ['place an order of NaN', (on) => `SELECT place_order('${on.user}', 'Kettle', 'NaN')`, '23514'],
  ['place an order without a user', `SELECT place_order(NULL, 'Kettle', 1)`, '23502'],
  ['place orders as the API', `SELECT place_orders('[]', 1, NULL)`, DENIED],
  ['process orders as a worker', `SELECT order_ids FROM process_orders(1, 'a:1')`, DENIED],
  ...commonAttacks('oms_dba'),
]);

test.serial(
  'an action of a DBA is recorded under the login, also when the session names another actor',
  async (t) => {
    const { admin, targets } = await prepare(t);
    const client = await logIn(t, 'oms_dba');
    await client.query(
      `SET oms.via = 'worker'; SET oms.actor = 'worker:a:1'; SET oms.reason = 'none'`,
    );
    await client.query(`SET application_name = 'oms-worker'; SET ROLE oms_dba_read; RESET ROLE`);

    await client.query(`SELECT ops.retry_order('${targets.givenUp}', 'ticket 1')`);

    const { rows } = await admin.query(
      `SELECT a.who, o.changed_by, j.state::text FROM operator_actions AS a
     JOIN orders AS o ON o.id = a.order_id JOIN order_jobs AS j ON j.id = o.id WHERE a.order_id = $1`,
      [targets.givenUp],
    );
    t.deepEqual(
      rows.map(({ who, state }) => [who, state]),
      [['oms_dba', 'retry']],
    );
  },
);

test.serial('API and worker cannot keep a DBA from pausing a queue', async (t) => {
  await prepare(t);
  const dba = await logIn(t, 'oms_dba');
  const api = await logIn(t, 'oms_api');
  await api.query(`SELECT pg_advisory_lock(hashtext('ops.queue'), hashtext('prune'))`);
  const worker = await logIn(t, 'oms_worker');
  await worker.query(`BEGIN; SELECT queue FROM paused_queues`);

  await dba.query('BEGIN');
  await t.notThrowsAsync(dba.query(`SELECT ops.pause_queue('prune', 'ticket 1')`));
  await dba.query('ROLLBACK');
});

test.serial('a read-only DBA sees the bloat of the job tables and of orders', async (t) => {
  const { admin } = await prepare(t);
  await admin.query('ANALYZE');
  const client = await logIn(t, 'oms_dba_read');

  const { rows } = await client.query(
    `SELECT table_name FROM ops.health
     WHERE bloat_estimate IS NULL
       AND table_name ~ '^(pgboss.j[0-9a-f]{56}|public.(orders|order_events|idempotency_keys))$'`,
  );

  t.deepEqual(rows, []);
});

test.serial(
  'no login can stop a migrate with an advisory lock, or by reading tables',
  async (t) => {
    await prepare(t);
    const { database } = t.context;
    const [first] = LOGINS;
    const advisory = await logIn(t, first);
    // pg-boss itself takes this lock while it migrates.
    await advisory.query(`SELECT pg_advisory_lock(
    ('x' || encode(sha224((current_database() || '.pgboss.pgboss')::bytea), 'hex'))::bit(64)::bigint)`);
    for (const role of LOGINS) {
      const client = await logIn(t, role);
      await client.query('BEGIN');
      const { rows } = await client.query<{ name: string }>(`
      SELECT format('%s.%I', n.nspname, c.relname) AS name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'pgboss', 'ops', 'audit')
        AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    `);
      for (const { name } of rows) await client.query(`LOCK TABLE ${name} IN ACCESS SHARE MODE`);
    }

    await t.notThrowsAsync(
      migrate(testConfig(database), pino({ level: 'silent' }), {}, { timeoutMs: 20_000 }),
    );
  },
);
