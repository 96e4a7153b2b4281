import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { sql } from 'slonik';
import { createQueue } from '../../src/queue/boss.ts';
import { asSuperuser } from '../support/audit.ts';
import { ownService, signUp, test, type Context } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { insertOrders, jobOf, leaveOneTry } from '../support/orders.ts';
import { testConfig } from '../support/template.ts';

// pg-boss claims, settles and maintains jobs with the rights of oms_worker. A missing right does not stop a worker:
// pg-boss emits an error and continues. So the tests collect every error and warning.

test('a worker has the rights for the maintenance of the queue', async (t) => {
  const service = await ownService(t);
  await makeOverdueRows(service);
  const { boss, emitted } = await openAsWorker(t, service);

  await boss.supervise();
  await boss.supervise('process-order');

  t.deepEqual(emitted, [
    'Warning: large queue backlog: queue "prune" has 3 jobs in the created or retry state, over its warning ' +
      'threshold of 1. Your queue should be reviewed',
  ]);
  const left = await asSuperuser(
    service,
    `SELECT (SELECT count(*)::int FROM pgboss.warning) AS warnings,
       (SELECT count(*)::int FROM pgboss.instance WHERE pid = 4711) AS dead_workers,
       (SELECT count(*)::int FROM pgboss.job WHERE singleton_key = 'old') AS old_jobs,
       (SELECT count(*)::int FROM pgboss.job_dependency) AS dependencies,
       (SELECT count(*)::int FROM pgboss.queue_stats WHERE name = 'process-order') > 0 AS counted,
       (SELECT count(*)::int FROM pgboss.instance WHERE pid = ${process.pid} AND stopped_on IS NULL) AS workers`,
  );
  t.deepEqual(left, [
    { warnings: 1, dead_workers: 0, old_jobs: 0, dependencies: 0, counted: true, workers: 1 },
  ]);
});

test('a worker has the rights to retry lost jobs, and to make a dead letter of the last attempt', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const [slow = '', silent = '', hopeless = ''] = await insertOrders(deps, user.id, 3);
  await leaveOneTry(deps, hopeless);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() WHERE name = 'process-order'
  `);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET started_on = now() - interval '1 hour' WHERE id = ${slow}
  `);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id IN (${silent}, ${hopeless})
  `);
  const { boss, emitted } = await openAsWorker(t, service);

  await boss.supervise('process-order');

  t.deepEqual(emitted, []);
  t.is((await jobOf(deps, slow)).state, 'retry');
  t.is((await jobOf(deps, silent)).state, 'retry');
  t.is((await jobOf(deps, hopeless)).state, 'failed');
  const [letter] = await asSuperuser(
    service,
    `SELECT retry_delay_max FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = $1`,
    [hopeless],
  );
  t.deepEqual(letter, { retry_delay_max: 60 });
});

test('a worker has the rights to claim, touch, fail and complete jobs', async (t) => {
  const service = await ownService(t);
  const { boss, emitted } = await openAsWorker(t, service);
  const [first, second] = await insertOrders(service.deps, (await signUp(service)).id, 2);
  for (const data of [{}, {}]) await boss.send('prune', data);

  const orders = await boss.fetch('process-order', { batchSize: 2 });
  const [prune, again] = await boss.fetch('prune', { batchSize: 2 });
  if (!prune || !again) return t.fail('nothing to claim');
  await boss.touch('process-order', first ?? '');
  await boss.fail('process-order', [first ?? '', second ?? ''], { message: 'again' });
  await boss.fail('prune', again.id, { message: 'again' });
  await boss.complete('prune', prune.id);

  t.is(orders.length, 2);
  for (const id of [first, second]) t.is((await jobOf(service.deps, id ?? '')).state, 'retry');
  t.is((await jobOf(service.deps, again.id, 'prune')).state, 'retry');
  t.is((await jobOf(service.deps, prune.id, 'prune')).state, 'completed');
  t.deepEqual(emitted, []);
});

test('a worker has the rights for the statements that pg-boss runs rarely', async (t) => {
  const service = await ownService(t);
  const worker = await connectDba(t, service, 'oms_worker');
  const plans = await import(
    new URL('../../node_modules/pg-boss/dist/plans.js', import.meta.url).href
  );
  const [{ table } = { table: '' }] = (await asSuperuser(
    service,
    `SELECT table_name AS table FROM pgboss.queue WHERE name = 'process-order'`,
  )) as { table: string }[];

  for (const [statement, values] of [
    ['setMonitorBackoff', plans.setMonitorBackoff('pgboss', 100)],
    ['releaseQueueDeletionTime', plans.releaseQueueDeletionTime('pgboss', ['prune'], new Date())],
    ['trueUpQueueStats', plans.trueUpQueueStats('pgboss', table, ['process-order'])],
    ['reduceRetainedCount', { text: plans.reduceRetainedCount('pgboss'), values: ['prune', 1, 1] }],
    ['getXminHorizon', plans.getXminHorizon(new Date())],
    ['getJobTableGarbage', plans.getJobTableGarbage('pgboss')],
    ['getBloatedIndexes', plans.getBloatedIndexes('pgboss')],
    ['trimDeadInstances', plans.trimDeadInstances('pgboss', 1000)],
    [
      'insertWarning',
      { text: plans.insertWarning('pgboss'), values: ['clock_skew', 'late', '{}'] },
    ],
  ] as const) {
    const query = typeof values === 'string' ? { text: values, values: [] } : values;
    await t.notThrowsAsync(
      worker.rows(query.text, query.values.length ? query.values : undefined),
      statement,
    );
  }
});

const forbidden = [
  [`has_any_column_privilege('oms_worker', 'pgboss.bam', 'SELECT, INSERT, UPDATE')`],
  [`has_table_privilege('oms_worker', 'pgboss.bam', 'DELETE, TRUNCATE')`],
  [`has_any_column_privilege('oms_worker', 'pgboss.queue', 'INSERT')`],
  [`has_table_privilege('oms_worker', 'pgboss.queue', 'DELETE, TRUNCATE, TRIGGER')`],
  ...['table_name', 'name', 'policy', 'dead_letter', 'partition', 'retry_limit', 'retry_delay'].map(
    (column) => [`has_column_privilege('oms_worker', 'pgboss.queue', '${column}', 'UPDATE')`],
  ),
  [`has_any_column_privilege('oms_worker', 'pgboss.schedule', 'INSERT')`],
  ...['cron', 'data', 'name', 'options'].map((column) => [
    `has_column_privilege('oms_worker', 'pgboss.schedule', '${column}', 'UPDATE')`,
  ]),
  ...['id', 'name', 'data', 'dead_letter', 'retry_limit', 'start_after', 'blocked'].map(
    (column) => [`has_column_privilege('oms_worker', 'pgboss.job', '${column}', 'UPDATE')`],
  ),
  ...['pgboss', 'public', 'ops', 'audit'].map((schema) => [
    `has_schema_privilege('oms_worker', '${schema}', 'CREATE')`,
  ]),
  [`EXISTS (SELECT FROM pg_class WHERE relowner = 'oms_worker'::regrole)`],
] as const;

test('a worker has no right on SQL that others execute, or on settings of the operator', async (t) => {
  for (const [right] of forbidden) {
    const [row] = await asSuperuser(t.context, `SELECT ${right} AS granted`);
    t.is(row?.granted, false, right);
  }
});

/** Makes rows of each kind that maintenance has to remove or report. */
async function makeOverdueRows(service: Pick<Context, 'database' | 'deps'>): Promise<void> {
  const { boss } = service.deps;
  const LONG_AGO = `now() - interval '400 days'`;
  for (const queue of ['process-order', 'audit']) {
    const [done, forgotten] = [randomUUID(), randomUUID()];
    const old = { data: { order_id: done, xact_id: '1' }, singletonKey: 'old' };
    await boss.insert(queue, [
      { id: done, ...old },
      { id: forgotten, ...old },
    ]);
    const end = `UPDATE pgboss.job SET state = 'completed', completed_on = ${LONG_AGO} WHERE id = $1`;
    await asSuperuser(service, end, [done]);
    await asSuperuser(service, `UPDATE pgboss.job SET keep_until = ${LONG_AGO} WHERE id = $1`, [
      forgotten,
    ]);
  }
  await boss.insert(
    'prune',
    Array.from({ length: 3 }, () => ({ data: {}, startAfter: 3600 })),
  );
  for (const statement of [
    `UPDATE pgboss.queue SET warning_queued = 1 WHERE name = 'prune'`,
    `UPDATE pgboss.queue SET monitor_on = NULL, monitor_claim_on = NULL, maintain_on = NULL`,
    `INSERT INTO pgboss.job_dependency VALUES ('audit', gen_random_uuid(), 'process-order', gen_random_uuid())`,
    `INSERT INTO pgboss.warning (type, message, data, created_on) VALUES ('slow_query', 'old', '{}', ${LONG_AGO})`,
    `INSERT INTO pgboss.instance (id, name, host, pid, version, node_version, heartbeat_seconds, supervise, schedule,
       migrate, persist_queue_stats, persist_warnings, started_on, heartbeat_on)
     VALUES (gen_random_uuid(), 'worker', 'gone', 4711, '12', '26', 3, true, true, true, true, true, ${LONG_AGO},
       ${LONG_AGO})`,
  ]) {
    await asSuperuser(service, statement);
  }
}

/** Opens a pg-boss client with a worker's rights and without pollers. `emitted` collects its errors and warnings. */
async function openAsWorker(t: ExecutionContext<Context>, { database }: Context) {
  const emitted: unknown[] = [];
  const config = testConfig(database, {}, 'oms_worker');
  const { boss, close } = createQueue(config, pino({ level: 'silent' }));
  boss.on('error', (error) => emitted.push(error));
  boss.on('warning', ({ message }) => emitted.push(message));
  t.teardown(() => close(0));
  await boss.start();
  return { boss, emitted };
}
