import { percentile } from 'pg-boss';
import { sql } from 'slonik';
import { ownService, signUp, test } from '../support/context.ts';
import { claimJob, connectDba } from '../support/dba.ts';
import { until } from '../support/until.ts';
import { untilOrderIs, startWorker } from '../support/workers.ts';

// Views are read with the rights of a read-only role.
const READER = 'oms_dba_read';

test('ops.queues shows the depth, rate and times of a queue from the counts of the workers', async (t) => {
  const service = await ownService(t);
  await startWorker(t, service);
  const user = await signUp(service);
  for (let i = 0; i < 5; i += 1) await untilOrderIs(service.deps, await user.place(), 'COMPLETED');
  const dba = await connectDba(t, service, READER);
  const readRow = async () =>
    (await dba.rows(`SELECT * FROM ops.queues WHERE queue = 'process-order'`))[0];

  // pg-boss counts jobs that ended at least 10 s ago, so it does not miss late commits.
  const row = await until('the rates', async () => (await readRow())?.wait_p99 && readRow());

  t.like(row, { ready: 0, active: 0, failed: 0, retrying: '0', paused: false, oldest_ready: null });
  t.true(Number(row.completed_per_minute) > 0);
  const Milliseconds = (name: string) => dba.value(MS_OF(name));
  t.true((await Milliseconds('wait_p50')) <= (await Milliseconds('wait_p99')));
  t.true((await Milliseconds('run_p50')) > 0);
});

test('ops.queues shows how many jobs wait and are retried, and the age of the oldest', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const retried = await user.place();
  await user.place();
  await claimJob(deps, retried);
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

test('a percentile is the same as pg-boss computes from the same histogram', async (t) => {
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

/** A histogram with as many slots as those of pg-boss. */
const bins = (count: (slot: number) => number) =>
  Array.from({ length: 48 }, (_, slot) => count(slot));

const MS_OF = (column: string) =>
  `SELECT (extract(epoch FROM ${column}) * 1000)::float8 FROM ops.queues WHERE queue = 'process-order'`;
