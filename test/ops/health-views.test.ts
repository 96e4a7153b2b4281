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
