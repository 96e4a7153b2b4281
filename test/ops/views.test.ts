import { percentile } from 'pg-boss';
import { sql } from 'slonik';
import type { Deps } from '../../src/deps.ts';
import { drain, ownService, signUp, test } from '../support/context.ts';
import { connectDba, failOrder, giveUp, hold, registerWorker, take } from '../support/dba.ts';
import { jobOf } from '../support/orders.ts';
import { until } from '../support/until.ts';
import { ends, startWorker } from '../support/workers.ts';

// All views are read with the rights of a read-only role.
const READER = 'oms_dba_read';

test('ops.queues tells depth, rate and times of a queue from what the workers count', async (t) => {
  const service = await ownService(t);
  await startWorker(t, service);
  const user = await signUp(service);
  for (let i = 0; i < 5; i += 1) await ends(service.deps, await user.place(), 'COMPLETED');
  const dba = await connectDba(t, service, READER);
  const look = async () =>
    (await dba.rows(`SELECT * FROM ops.queues WHERE queue = 'process-order'`))[0];

  // pg-boss counts what ended 10 s ago or earlier, so that what commits late is not missed.
  const row = await until('the rates', async () => (await look())?.wait_p99 && look());

  t.like(row, { ready: 0, active: 0, failed: 0, retrying: '0', paused: false, oldest_ready: null });
  t.true(Number(row.completed_per_minute) > 0);
  const Milliseconds = (name: string) => dba.value(MS_OF(name));
  t.true((await Milliseconds('wait_p50')) <= (await Milliseconds('wait_p99')));
  t.true((await Milliseconds('run_p50')) > 0);
});

test('ops.queues shows what waits, what is retried, and how old the oldest is by now', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const retried = await user.place();
  await user.place();
  await take(deps, retried);
  await deps.boss.fail('process-order', retried, { message: 'busy' });
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.queue
    SET ready_count = 1, deferred_count = 1, ready_oldest_seconds = 60, monitor_on = now() - interval '2 minutes'
    WHERE name = 'process-order'
  `);
  const dba = await connectDba(t, service, READER);

  const [row] = await dba.rows(`SELECT * FROM ops.queues WHERE queue = 'process-order'`);

  t.like(row, { ready: 1, retrying: '1', deferred: 1, completed_per_minute: null, wait_p50: null });
  t.like(row?.oldest_ready, { minutes: 3 });
  t.like(row?.counted_ago, { minutes: 2 });
});

test('percentiles are those that pg-boss computes from the same histogram', async (t) => {
  const dba = await connectDba(t, t.context, READER);
  const histograms = [
    bins((slot) => (slot === 0 ? 7 : 0)),
    bins((slot) => (slot === 47 ? 3 : 0)),
    bins((slot) => (slot * 7919) % 13),
    bins((slot) => (slot % 9 === 0 ? slot : 0)),
    bins(() => 0),
  ];

  for (const histogram of histograms) {
    for (const p of [50, 95, 99]) {
      const ours = await dba.value('SELECT extract(epoch FROM ops._percentile($1, $2))::float8', [
        histogram,
        p,
      ]);
      const theirs = percentile(histogram, p);
      if (theirs === null) t.is(ours, null);
      else
        t.true(
          Math.abs(ours - theirs) <= 0.001,
          `p${p} of ${histogram.join()}: ${ours}, ${theirs}`,
        );
    }
  }
});

test('ops.jobs shows a job with its order, attempt, worker, age and last error, and no payload', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place({ product_name: 'Secret', amount: 1 });
  await take(deps, id);
  await deps.boss.fail('process-order', id, { message: 'warehouse is busy' });
  await take(deps, id);
  const worker = await registerWorker(deps);
  await hold(deps, worker, id, 2);
  const dba = await connectDba(t, t.context, READER);

  const [row] = await dba.rows('SELECT * FROM ops.jobs WHERE order_id = $1', [id]);

  t.like(row, {
    queue: 'process-order',
    job_id: id,
    state: 'active',
    order_status: 'PENDING',
    attempt: 2,
    attempts_at_most: 13,
    worker_id: worker,
    last_error: 'warehouse is busy',
  });
  t.regex(row?.worker, /:4711$/);
  t.truthy(row?.age);
  t.false(JSON.stringify(row).includes('Secret') || 'data' in (row ?? {}));
});

test('ops.jobs does not name a worker whose attempt is over', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, id);
  await hold(deps, await registerWorker(deps), id, 1);
  await take(deps, id); // by another worker, after the first attempt was given up
  const dba = await connectDba(t, t.context, READER);

  const [row] = await dba.rows('SELECT * FROM ops.jobs WHERE job_id = $1', [id]);

  t.like(row, { attempt: 2, worker: null, worker_id: null });
});

test('ops.jobs and ops.dead_letters show a dead letter with the order that it is about', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const letter = await giveUp(deps, id, 'out of stock');
  const dba = await connectDba(t, t.context, READER);

  const jobs = await dba.rows(
    'SELECT queue, last_error FROM ops.jobs WHERE order_id = $1 ORDER BY queue',
    [id],
  );
  const [dead] = await dba.rows('SELECT * FROM ops.dead_letters WHERE job_id = $1', [letter]);

  t.deepEqual(
    jobs.map(({ queue }) => queue),
    ['fail-order', 'process-order'],
  );
  t.true(jobs.every(({ last_error }) => last_error === 'out of stock'));
  t.like(dead, {
    queue: 'fail-order',
    from_queue: 'process-order',
    order_id: id,
    order_status: 'PENDING',
    handled: 'created',
    attempts: 1,
    last_error: 'out of stock',
  });
});

test('ops.workers shows who is alive, who is dead, and what they hold', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const [held, left, lost] = [await user.place(), await user.place(), await user.place()];
  const alive = await registerWorker(deps, { pid: 1 });
  const dead = await registerWorker(deps, { pid: 2, silentSeconds: 60 });
  await registerWorker(deps, { pid: 3, silentSeconds: 7200 });
  for (const id of [held, left, lost]) await take(deps, id);
  await hold(deps, alive, held);
  await hold(deps, dead, left);
  await hold(deps, dead, lost);
  await take(deps, lost);
  const dba = await connectDba(t, service, READER);

  const rows = await dba.rows('SELECT worker_id, pid, state, jobs, queues FROM ops.workers');

  t.deepEqual(rows, [
    { worker_id: alive, pid: 1, state: 'alive', jobs: 1, queues: ['process-order'] },
    { worker_id: dead, pid: 2, state: 'dead', jobs: 1, queues: ['process-order'] },
  ]);
});

test('ops.stuck_orders shows open orders without progress, whatever their job is up to', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const [waiting, inHand, givenUp, fresh, done] = await Promise.all(
    Array.from({ length: 5 }, () => user.place()),
  );
  await take(deps, inHand ?? '');
  await giveUp(deps, givenUp ?? '', 'out of stock');
  await failOrder(deps, done ?? '');
  for (const id of [waiting, inHand, givenUp, done]) await age(deps, id ?? '');
  const dba = await connectDba(t, service, READER);

  const rows = await dba.rows(
    'SELECT order_id, status, job_state, job_error FROM ops.stuck_orders',
  );
  const byOrder = new Map(rows.map((row) => [row.order_id, row]));

  t.is(byOrder.size, 3);
  t.true([waiting, inHand, givenUp].every((id) => byOrder.has(id)));
  t.like(byOrder.get(inHand), { status: 'PENDING', job_state: 'active' });
  t.like(byOrder.get(givenUp), { job_state: 'failed', job_error: 'out of stock' });
  t.false(byOrder.has(fresh));
});

test('ops.order_timeline tells each step with its job, attempt and transaction', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  await drain(deps, 'process-order');
  const dba = await connectDba(t, service, READER);

  const steps = await dba.rows('SELECT * FROM ops.order_timeline WHERE order_id = $1', [id]);

  t.deepEqual(
    steps.map(({ step, job_id, attempt }) => [step, job_id, attempt]),
    [
      ['PENDING', null, null],
      ['PENDING → PROCESSING', id, 1],
      ['PROCESSING → COMPLETED', id, 1],
    ],
  );
  t.is(steps[1]?.xact_id, steps[2]?.xact_id);
  t.not(steps[0]?.xact_id, steps[1]?.xact_id);
  t.is((await jobOf(deps, id)).state, 'completed');
});

test('ops.health and ops.cleanup_blockers name the session that keeps dead rows from being removed', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const holder = await connectDba(t, service, 'postgres');
  await holder.rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const pid = await holder.value('SELECT pg_backend_pid()');
  await holder.rows('SELECT count(*) FROM orders /* a report that was left open */');
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

test('ops.health estimates how much of a table is bloat', async (t) => {
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

/** A histogram with as many slots as pg-boss's have. */
const bins = (count: (slot: number) => number) =>
  Array.from({ length: 48 }, (_, slot) => count(slot));

const MS_OF = (column: string) =>
  `SELECT (extract(epoch FROM ${column}) * 1000)::float8 FROM ops.queues WHERE queue = 'process-order'`;

/** Makes an order look as if nothing had happened to it for ten minutes. */
async function age({ pool }: Deps, id: string): Promise<void> {
  await pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SET LOCAL session_replication_role = replica`);
    await tx.query(sql.unsafe`
      UPDATE orders SET updated_at = now() - interval '10 minutes' WHERE id = ${id}
    `);
  });
}
