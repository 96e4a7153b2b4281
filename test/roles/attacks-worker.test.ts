import { Client } from 'pg';
import { pino } from 'pino';
import {
  commonAttacks,
  prepare,
  testAttacks,
  testNothingElse,
  type Attack,
} from '../support/attacks.ts';
import { signUp, test } from '../support/context.ts';
import { logIn, loginUrl } from '../support/logins.ts';
import { claimJob as claim, sendJob } from '../support/queue-rows.ts';
import { createQueue } from '../../src/queue/boss.ts';

// A stolen login of the worker can do what a worker does: complete and fail orders, under the name of any worker. It
// cannot strand an order, act under any other name, or leave objects that break the views of other roles.

const ORDERS = 'pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b';

testNothingElse('The worker’s login', 'oms_worker', {
  // The tables of pg-boss, and the worker's own records. pg-boss retries a job by a DELETE and an INSERT.
  writes: [
    'pgboss.job',
    'pgboss.job_common',
    ORDERS,
    'pgboss.job_dependency',
    'pgboss.instance',
    'pgboss.queue',
    'pgboss.queue_stats',
    'pgboss.schedule',
    'pgboss.version',
    'pgboss.warning',
    'audit_heads',
    'audit_runs',
    'running_batches',
  ],
  calls: [
    'public.process_orders',
    'public.complete_orders',
    'public.take_orders',
    'public.settle_orders',
    'public.fail_orders',
    'public.postpone_jobs',
    'public.prune_idempotency_keys',
    'public.prune_refresh_tokens',
    'public.prepare_queue_stats',
    'public.order_content_hash_v1',
    'public.order_event_hash_v1',
    'pgboss.job_now',
    'ops._percentile',
    'audit.bound_on_progress',
    'audit.events_digest',
  ],
});

const claimed = (id: string, members = '{}') =>
  `(SELECT jsonb_build_object('id', id, 'retry_count', retry_count, 'data', data, 'status', 'COMPLETED')
    || '${members}' FROM pgboss.job WHERE name = 'process-order' AND id = '${id}')`;
const settle = (entries: string, worker = `'a:1'`) =>
  `SELECT settle_orders(jsonb_build_array(${entries}), ${worker}, 1000);`;
const letter = (order: string, data: string) =>
  `INSERT INTO pgboss.job (name, data, state, source_name, source_id, source_root_id, source_retry_count)
   SELECT 'fail-order', ${data}, 'active', 'process-order', '${order}', '${order}', 12
   FROM orders AS o WHERE o.id = '${order}';`;
const data = `jsonb_build_object('order_id', o.id, 'xact_id', o.xact_id::text)`;
const fail = (order: string) =>
  `SELECT fail_orders((SELECT jsonb_agg(jsonb_build_object('id', id, 'retry_count', retry_count, 'order_id',
    source_root_id)) FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = '${order}'), 'a:1', 1000);`;
const instance = (columns: string, values: string) =>
  `INSERT INTO pgboss.instance (id, host, pid, version, node_version, supervise, schedule, migrate,
     persist_queue_stats, persist_warnings, ${columns})
   VALUES (gen_random_uuid(), 'h', 1, '1', '1', true, true, true, true, true, ${values})`;

const DENIED = '42501';
const NO_JOB = 'OM003';
const ODD = 'OM008';
const LOST = 'OM009';

const names: Attack[] = [
  [`'user:somebody'`, 'a user'],
  [`'role:postgres'`, 'a DBA'],
  [`E'a:1\\n'`, 'a worker and a line'],
  [`E'x\\nuser:1'`, 'two lines'],
  [`''`, 'nobody'],
  ['NULL', 'the order’s own user'],
  [`repeat('a', 300) || ':1'`, 'a very long host'],
].flatMap(([name, goal]): Attack[] => [
  [
    `complete an order in the name of ${goal}`,
    (on) => `BEGIN; ${claim(on.order)} ${settle(claimed(on.order), name)} COMMIT`,
    ODD,
  ],
  [
    `work off orders in the name of ${goal}`,
    `SELECT order_ids FROM process_orders(10, ${name})`,
    ODD,
  ],
]);

const attacks: Attack[] = [
  ...names,
  [
    'take orders in no name',
    (on) => `BEGIN; ${claim(on.order)}
    SELECT * FROM take_orders(jsonb_build_array(${claimed(on.order)}), NULL, 1000); COMMIT`,
    ODD,
  ],
  [
    'fail orders in no name',
    (on) => `${claim(on.letter)}
    SELECT fail_orders(jsonb_build_array(jsonb_build_object('id', '${on.letter}', 'retry_count', 0, 'order_id',
      '${on.givenUp}')), NULL, 1000)`,
    ODD,
  ],
  ...['PENDING', 'PROCESSING', 'CANCELLED'].map((status): Attack => [
    `settle an order as ${status}`,
    (on) => `${claim(on.order)} ${settle(claimed(on.order, `{"status": "${status}"}`))}`,
    'OM001',
  ]),
  ['settle an order as nothing', (on) => settle(claimed(on.order, '{"status": null}')), 'OM001'],
  ['complete an order that it has not claimed', (on) => settle(claimed(on.order)), LOST],
  [
    'complete an order by another attempt',
    (on) => `${claim(on.order)} ${settle(claimed(on.order, '{"retry_count": 7}'))}`,
    LOST,
  ],
  [
    'complete an order by no attempt',
    (on) => `${claim(on.order)} ${settle(claimed(on.order, '{"retry_count": null}'))}`,
    'OM001',
  ],
  [
    'complete an order by a job of another',
    (on) => `${claim(on.order)} ${settle(claimed(on.order, `{"id": "${on.other}"}`))}`,
    LOST,
  ],
  [
    'name an order twice, once with an attempt that was not',
    (on) =>
      `${claim(on.order)} ${settle(
        `${claimed(on.order, '{"retry_count": 99, "status": "FAILED"}')}, ${claimed(on.order)}`,
      )}`,
    ODD,
  ],
  ['complete an order that is completed', (on) => settle(claimed(on.done))],
  ['complete what is no batch', `SELECT settle_orders('7', 'a:1', 1000)`, '22023'],
  ['complete nothing at all', 'SELECT complete_orders(NULL, NULL, NULL)', ODD],
  ['work off less than nothing', `SELECT order_ids FROM process_orders(-1, 'a:1')`, '2201W'],

  [
    'delete the job of an open order',
    `DELETE FROM pgboss.job WHERE name = 'process-order' AND state < 'active'`,
  ],
  ['delete it from the table of its queue', `DELETE FROM ${ORDERS} WHERE state < 'active'`],
  [
    'delete a job that it has claimed',
    (on) => `${claim(on.order)} DELETE FROM pgboss.job WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'check at once and delete afterwards',
    (on) => `BEGIN; SET CONSTRAINTS ALL IMMEDIATE; ${claim(on.order)}
    SET CONSTRAINTS ALL DEFERRED; DELETE FROM pgboss.job WHERE id = '${on.order}'; COMMIT`,
    NO_JOB,
  ],
  [
    'complete a job without its order',
    (on) => `UPDATE pgboss.job SET state = 'completed' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'cancel a job without its order',
    (on) => `UPDATE pgboss.job SET state = 'cancelled' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'fail a job without a dead letter',
    (on) => `UPDATE pgboss.job SET state = 'failed' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'put a job into another queue',
    (on) => `UPDATE pgboss.job SET name = 'prune' WHERE id = '${on.order}'`,
    DENIED,
  ],
  [
    'block a job for good',
    (on) => `UPDATE pgboss.job SET blocked = true WHERE id = '${on.order}'`,
    DENIED,
  ],

  [
    'fail an order by a dead letter of its own making',
    (on) => `${letter(on.order, data)} ${fail(on.order)}`,
    ODD,
  ],
  [
    'fail an order by the dead letter of another',
    (on) => `${claim(on.letter)}
    SELECT fail_orders(jsonb_build_array(jsonb_build_object('id', '${on.letter}', 'retry_count', 0, 'order_id',
      '${on.order}')), 'a:1', 1000)`,
    LOST,
  ],
  ['delete a dead letter', `DELETE FROM pgboss.job WHERE name = 'fail-order'`],
  [
    'delete a dead letter that it has claimed',
    (on) => `${claim(on.letter)}
    DELETE FROM pgboss.job WHERE id = '${on.letter}'`,
    NO_JOB,
  ],
  [
    'give up a dead letter and delete it',
    (on) => `BEGIN; UPDATE pgboss.job SET state = 'failed' WHERE id = '${on.letter}';
    DELETE FROM pgboss.job WHERE id = '${on.letter}'; DO $$ BEGIN ASSERT EXISTS (
      SELECT FROM pgboss.job WHERE id = '${on.letter}'); END $$; ROLLBACK`,
  ],
  [
    'settle a dead letter without its order',
    (on) => `UPDATE pgboss.job SET state = 'completed' WHERE id = '${on.letter}'`,
    NO_JOB,
  ],

  ['change the schema version', 'UPDATE pgboss.version SET version = 1', DENIED],
  ['change the settings of a queue', 'UPDATE pgboss.queue SET retry_limit = 0', DENIED],
  ['change a schedule', `UPDATE pgboss.schedule SET cron = '* * * * *'`, DENIED],
  ['change what a job carries', `UPDATE pgboss.job SET data = '{}'`, DENIED],
  [
    'create a trigger on statistics',
    'CREATE TRIGGER mine BEFORE INSERT ON pgboss.queue_stats EXECUTE FUNCTION order_jobs_keep()',
    DENIED,
  ],
  ['create a row policy on statistics', 'CREATE POLICY mine ON pgboss.queue_stats', DENIED],
  [
    'create a partition of statistics',
    'CREATE TABLE pgboss.mine PARTITION OF pgboss.queue_stats DEFAULT',
    DENIED,
  ],
  ['resume a paused queue', 'DELETE FROM paused_queues', DENIED],
  ['change a head of the trail', `UPDATE audit_heads SET digest = ''`, DENIED],
  ['read what was ordered', 'SELECT product_name FROM orders', DENIED],
  ...commonAttacks('oms_worker'),
];

testAttacks('The worker’s login', 'oms_worker', attacks);

test.serial(
  'A job that fails is tried again, then becomes a dead letter, then fails its order',
  async (t) => {
    const user = await signUp(t.context);
    const id = await user.place();
    const client = await logIn(t, 'oms_worker');
    const queue = createQueue(
      { DATABASE_URL: loginUrl('oms_worker', t.context.database), QUEUE_POOL_SIZE_MAX: 2 },
      pino({ level: 'silent' }),
      { supervise: false },
    );
    await queue.boss.start();
    t.teardown(() => queue.close(0));
    const failOnce = async (name: string, job: string) => {
      await client.query(claim(job));
      const { rows } = await client.query('SELECT retry_count FROM pgboss.job WHERE id = $1', [
        job,
      ]);
      const attempt = { id: job, retryCount: rows[0]?.retry_count };
      await queue.boss.fail(name, [attempt], { message: 'out of stock' });
    };
    const state = async (job: string) =>
      (await client.query('SELECT state::text FROM pgboss.job WHERE id = $1', [job])).rows[0]
        ?.state;

    await failOnce('process-order', id);
    t.is(await state(id), 'retry');

    await client.query('UPDATE pgboss.job SET retry_count = retry_limit WHERE id = $1', [id]);
    await failOnce('process-order', id);
    t.is(await state(id), 'failed');
    const letters = await client.query('SELECT id FROM pgboss.job WHERE source_root_id = $1', [id]);
    const letterId = letters.rows[0]?.id;

    await failOnce('fail-order', letterId);
    t.is(await state(letterId), 'retry');

    await client.query(claim(letterId));
    const { rows } = await client.query(fail(id));
    t.deepEqual(rows, [{ fail_orders: [id] }]);
    t.is(await state(letterId), 'completed');
    t.is(
      (await client.query('SELECT status::text FROM orders WHERE id = $1', [id])).rows[0]?.status,
      'FAILED',
    );
  },
);

test.serial(
  'What is over is deleted when its time has come, and an open order’s dead letter is not',
  async (t) => {
    const { admin, targets } = await prepare(t);
    await admin.query('BEGIN');
    await asWorkerIn(admin, async () => {
      await admin.query('DELETE FROM pgboss.job WHERE id = ANY ($1)', [
        [targets.done, targets.letter],
      ]);
      await admin.query('SET CONSTRAINTS ALL IMMEDIATE');
    });
    const { rows } = await admin.query('SELECT id FROM pgboss.job WHERE id = ANY ($1)', [
      [targets.done, targets.letter],
    ]);
    await admin.query('ROLLBACK');

    t.deepEqual(rows, [{ id: targets.letter }]);
  },
);

test.serial('No view fails on what the worker’s login has written at most', async (t) => {
  const { admin } = await prepare(t);
  await admin.query('BEGIN');
  await asWorkerIn(admin, async () => {
    await admin.query(
      `UPDATE pgboss.job SET retry_count = retry_limit, output = '7', started_on = '0001-01-01'`,
    );
    await admin.query(`INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
      SELECT gen_random_uuid(), 'x', name, ARRAY[id], ARRAY[2147483647] FROM pgboss.job`);
    await admin.query(
      instance('heartbeat_seconds, workers, metrics', `60, '[7, null, {"queue": {}}]', '7'`),
    );
    await admin.query(`UPDATE pgboss.queue SET ready_count = 1000000000, ready_oldest_seconds = -2147483648,
      monitor_on = '0001-01-01', wait_bins = '{-1}', run_bins = NULL`);
    await admin.query(`INSERT INTO pgboss.queue_stats (name, completed_delta, failed_delta, delta_seconds, wait_bins,
        run_bins)
      SELECT 'prune', 2147483647, 2147483647, 0, b, '{}'
      FROM (VALUES ('{2147483647,2147483647}'::integer[]), ('{{1,2},{3,4}}'), ('{NULL}'), ('{-5}')) AS v(b),
        generate_series(1, 3)`);
    await admin.query(sendJob('prune', { data: `'7'`, source_output: `'null'` }));
  });
  // Infinite times, which only a superuser can write. Postgres before 17 does not subtract them.
  await admin.query(`UPDATE pgboss.queue SET monitor_on = 'infinity'`);
  await admin.query(
    `UPDATE pgboss.instance SET heartbeat_on = 'infinity', started_on = '-infinity'`,
  );
  await admin.query(`UPDATE running_batches SET since = '-infinity'`);
  await admin.query(`UPDATE pgboss.job SET state = 'active', created_on = 'infinity', heartbeat_on = 'infinity'
    WHERE state = 'created'`);
  const { rows: views } = await admin.query<{ name: string }>(
    `SELECT oid::regclass::text AS name FROM pg_class
     WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('ops', 'audit')`,
  );
  for (const { name } of views) await t.notThrowsAsync(admin.query(`TABLE ${name}`), name);
  await t.notThrowsAsync(admin.query('SELECT ops.explain_job(id) FROM pgboss.job'));
  await admin.query('ROLLBACK');
});

/** Takes on the worker's rights within a transaction. */
async function asWorkerIn(admin: Client, work: () => Promise<void>): Promise<void> {
  await admin.query('SET LOCAL ROLE oms_worker');
  await work();
  await admin.query('SET LOCAL ROLE NONE');
}
