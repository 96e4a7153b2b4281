import { sql } from 'slonik';
import { ownService, signUp, test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { until } from '../support/until.ts';

// Views are read with the rights of a read-only role.
const READER = 'oms_dba_read';

test('ops.health and ops.cleanup_blockers name the session that keeps vacuum from removing dead rows', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const report = await connectDba(t, service, 'postgres');
  await report.rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const pid = await report.value('SELECT pg_backend_pid()');
  await report.rows('SELECT count(*) FROM orders /* a report that was left open */');
  for (let i = 0; i < 3; i += 1) await user.place();
  const dba = await connectDba(t, service, READER);
  // A snapshot of the service or of autovacuum may be as old, but not for long.
  await until('the report to be the oldest blocker', async () => {
    return (await dba.value('SELECT pid FROM ops.cleanup_blockers LIMIT 1')) === pid;
  });

  const [blocker] = await dba.rows('TABLE ops.cleanup_blockers');
  const health = await dba.rows('TABLE ops.health');

  t.like(blocker, { kind: 'session', pid, state: 'idle in transaction', user_name: 'postgres' });
  t.regex(blocker?.query, /a report that was left open/);
  t.true(blocker?.xact_age > 0);
  t.is(blocker?.remedy, `SELECT pg_terminate_backend(${pid})`);
  const names = new Set(health.map(({ table_name }) => table_name));
  for (const name of ['public.orders', 'public.order_events', 'pgboss.queue']) {
    t.true(names.has(name), name);
  }
  t.true(health.some(({ queue }) => queue === 'process-order'));
  t.true(health.every((row) => row.pinned_pid === pid && /left open/.test(row.pinned_query)));
});

test('ops.cleanup_blockers does not list a VACUUM, because it keeps no dead row from being removed', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  await user.place();
  const admin = await connectDba(t, service, 'postgres');
  const pid = await admin.value('SELECT pg_backend_pid()');
  await admin.rows('SET vacuum_cost_delay = 100');
  await admin.rows('SET vacuum_cost_limit = 1');
  const dba = await connectDba(t, service, READER);

  const vacuum = admin.rows('VACUUM orders, order_events, pgboss.job_common');
  const endsEarly = t.throwsAsync(vacuum);
  await until('the VACUUM to run with a snapshot', async () => {
    return (
      (await dba.value(`SELECT count(*) FROM pg_stat_progress_vacuum AS v JOIN pg_stat_activity AS a USING (pid)
      WHERE v.pid = ${pid} AND a.backend_xmin IS NOT NULL`)) === '1'
    );
  });
  const blockers = await dba.rows('TABLE ops.cleanup_blockers');
  const other = await connectDba(t, service, 'postgres');
  await other.rows(`SELECT pg_cancel_backend(${pid})`);
  await endsEarly;

  t.false(blockers.some((blocker) => blocker.pid === pid));
});

test('ops.health estimates the bloat of a table', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  await deps.pool.query(sql.unsafe`
    SELECT place_order(${user.id}, 'Kettle', 34.90) FROM generate_series(1, 2000)
  `);
  const dba = await connectDba(t, service, READER);
  const bloat = `SELECT pg_size_bytes(bloat_estimate) * 100.0 / pg_relation_size('orders') FROM ops.health
    WHERE table_name = 'public.orders'`;
  const admin = await connectDba(t, service, 'postgres');

  await admin.rows('VACUUM ANALYZE orders');
  const before = Number(await admin.value(bloat));
  await admin.rows(`SET session_replication_role = replica`);
  await admin.rows(
    `DELETE FROM orders WHERE product_name = 'Kettle' AND id::text < 'f' AND random() < 0.9`,
  );
  await admin.rows('VACUUM (ANALYZE, TRUNCATE false) orders');

  t.true(before < 25, `${before} % before`);
  await until('the statistics', async () => Number(await admin.value(bloat)) > 60);
  t.true((await dba.rows('TABLE ops.health')).length > 5);
});
