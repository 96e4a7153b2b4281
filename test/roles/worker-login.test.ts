import type { Client } from 'pg';
import { pino } from 'pino';
import { createQueue } from '../../src/queue/boss.ts';
import { prepare } from '../support/attacks.ts';
import { signUp, test } from '../support/context.ts';
import { logIn, loginUrl } from '../support/logins.ts';
import { claimSql, failOrderSql, sendSql } from '../support/queue-rows.ts';

// Writes that the worker's login may make: failures, retention, and rows with extreme values.

test.serial(
  'a job that fails is tried again, then becomes a dead letter, then fails its order',
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
      await client.query(claimSql(job));
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

    await client.query(claimSql(letterId));
    const { rows } = await client.query(failOrderSql(id));
    t.deepEqual(rows, [{ fail_orders: [id] }]);
    t.is(await state(letterId), 'completed');
    t.is(
      (await client.query('SELECT status::text FROM orders WHERE id = $1', [id])).rows[0]?.status,
      'FAILED',
    );
  },
);

test.serial(
  'the job of a completed order can be deleted, the dead letter of an open order cannot',
  async (t) => {
    const { admin, targets } = await prepare(t);
    await admin.query('BEGIN');
    await withWorkerRights(admin, async () => {
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

test.serial(
  'no view fails on the most extreme values that the worker’s login can write',
  async (t) => {
    const { admin } = await prepare(t);
    await admin.query('BEGIN');
    await withWorkerRights(admin, () => writeExtremes(admin));
    // Only a superuser can write infinite times. Postgres before 17 cannot subtract them.
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
  },
);

const INSTANCE = `INSERT INTO pgboss.instance (id, host, pid, version, node_version, supervise, schedule, migrate,
    persist_queue_stats, persist_warnings, heartbeat_seconds, workers, metrics)
  VALUES (gen_random_uuid(), 'h', 1, '1', '1', true, true, true, true, true, 60, '[7, null, {"queue": {}}]', '7')`;

async function writeExtremes(client: Client): Promise<void> {
  await client.query(
    `UPDATE pgboss.job SET retry_count = retry_limit, output = '7', started_on = '0001-01-01'`,
  );
  await client.query(`INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
    SELECT gen_random_uuid(), 'x', name, ARRAY[id], ARRAY[2147483647] FROM pgboss.job`);
  await client.query(INSTANCE);
  await client.query(`UPDATE pgboss.queue SET ready_count = 1000000000, ready_oldest_seconds = -2147483648,
    monitor_on = '0001-01-01', wait_bins = '{-1}', run_bins = NULL`);
  await client.query(`INSERT INTO pgboss.queue_stats (name, completed_delta, failed_delta, delta_seconds, wait_bins,
      run_bins)
    SELECT 'prune', 2147483647, 2147483647, 0, b, '{}'
    FROM (VALUES ('{2147483647,2147483647}'::integer[]), ('{{1,2},{3,4}}'), ('{NULL}'), ('{-5}')) AS v(b),
      generate_series(1, 3)`);
  await client.query(sendSql('prune', { data: `'7'`, source_output: `'null'` }));
}

/** Runs a function with the worker's rights, within the open transaction of the superuser. */
async function withWorkerRights(admin: Client, work: () => Promise<void>): Promise<void> {
  await admin.query('SET LOCAL ROLE oms_worker');
  await work();
  await admin.query('SET LOCAL ROLE NONE');
}
