import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z, ZodError } from 'zod';
import type { Deps } from '../deps.ts';
import { claim, ownService, test } from '../testing/context.ts';
import { jobOf } from '../testing/orders.ts';
import { bossDb, ClaimLost, completeJobs, enqueue, JobNotCreated, retryJobAfter } from './boss.ts';

const IndexScans = z.object({ scans: z.number() });

// Serial are the tests that claim: each would take the others' jobs.

test('a job whose payload is not what its queue carries is refused, and nothing is enqueued', async (t) => {
  const { boss, pool } = t.context.deps;
  const [good, bad] = [randomUUIDv7(), randomUUIDv7()];

  await t.throwsAsync(
    pool.transaction((tx) =>
      enqueue(boss, tx, 'process-order', [
        { id: good, data: { order_id: good } },
        { id: bad, data: { order_id: 'nonsense' } },
      ]),
    ),
    { instanceOf: ZodError },
  );

  t.deepEqual(await boss.findJobs('process-order', { id: good }), []);
  t.deepEqual(await boss.findJobs('process-order', { id: bad }), []);
});

test('a payload loses whatever its queue does not know', async (t) => {
  const { boss, pool } = t.context.deps;
  const id = randomUUIDv7();
  const data = { order_id: id, password: 'hunter2' };

  await pool.transaction((tx) => enqueue(boss, tx, 'process-order', [{ id, data }]));

  t.deepEqual((await jobOf(t.context.deps, id)).data, { order_id: id });
});

test('one id given to two jobs of one call creates neither', async (t) => {
  const { boss, pool } = t.context.deps;
  const id = randomUUIDv7();
  const job = { id, data: { order_id: id } };

  await t.throwsAsync(pool.transaction((tx) => enqueue(boss, tx, 'process-order', [job, job])));

  t.deepEqual(await boss.findJobs('process-order', { id }), []);
});

test('an id that is taken is refused even when its job is long done', async (t) => {
  const { boss, pool } = t.context.deps;
  const id = randomUUIDv7();
  const jobs = [{ id, data: { order_id: id } }];
  await pool.transaction((tx) => enqueue(boss, tx, 'process-order', jobs));
  await boss.cancel('process-order', id);

  await t.throwsAsync(
    pool.transaction((tx) => enqueue(boss, tx, 'process-order', jobs)),
    { instanceOf: JobNotCreated },
  );

  t.is((await jobOf(t.context.deps, id)).state, 'cancelled');
});

test('what the queue writes by way of our transaction is part of it', async (t) => {
  const { pool } = t.context.deps;
  const Row = z.object({ id: z.string() });

  const [ours, theirs] = await pool.transaction(async (tx) => {
    const row = await tx.one(sql.type(Row)`SELECT pg_current_xact_id()::text AS id`);
    const { rows } = await bossDb(tx).executeSql(
      'SELECT pg_current_xact_id()::text AS id, $1::uuid[] AS ids, $2::jsonb AS data',
      [[randomUUIDv7()], { a: 1 }],
    );
    return [row, rows[0]];
  });

  t.is(theirs.id, ours.id);
  t.is(theirs.ids.length, 1);
  t.deepEqual(theirs.data, { a: 1 });
});

test.serial('a job is completed by whoever has claimed it, with what they did', async (t) => {
  const { pool } = t.context.deps;
  const attempt = await claimOne(t.context.deps);

  await pool.transaction((tx) => completeJobs(tx, 'process-order', [attempt]));

  t.is((await jobOf(t.context.deps, attempt.id)).state, 'completed');
});

test.serial('what was done for a job that somebody else has taken over is undone', async (t) => {
  const { deps } = t.context;
  const lost = await claimOne(deps);
  const kept = await claimOne(deps);
  await deps.boss.fail('process-order', lost.id, { message: 'heartbeat lost' });
  const [taken] = await claim(deps, 'process-order', { early: true });
  const effect = randomUUIDv7();

  const error = await t.throwsAsync(
    deps.pool.transaction(async (tx) => {
      await enqueue(deps.boss, tx, 'prune', [{ id: effect, data: {} }]);
      await completeJobs(tx, 'process-order', [lost, kept]);
    }),
    { instanceOf: ClaimLost },
  );

  t.regex(error.message, /^1 job/);
  t.is(taken?.id, lost.id);
  t.deepEqual(await deps.boss.findJobs('prune', { id: effect }), []);
  t.is((await jobOf(deps, lost.id)).state, 'active');
  t.is((await jobOf(deps, kept.id)).state, 'active');
});

test('a job is not looked for among the live ones to be completed, however few were at the last ANALYZE', async (t) => {
  const { deps } = await ownService(t);
  const ids = Array.from({ length: 1000 }, () => randomUUIDv7());
  const jobs = ids.map((id) => ({ id, data: { order_id: id } }));
  await deps.pool.transaction((tx) => enqueue(deps.boss, tx, 'process-order', jobs));
  await deps.pool.query(sql.unsafe`ANALYZE`);
  const claimed = await claim(deps, 'process-order', { batchSize: 20 });

  const [before, after] = await deps.pool.connect(async (connection) => {
    const scans = async () => {
      await connection.query(sql.unsafe`SELECT pg_stat_force_next_flush()`);
      return connection.oneFirst(sql.type(IndexScans)`
        SELECT idx_scan::integer AS scans FROM pg_stat_all_indexes
        WHERE schemaname = 'pgboss' AND indexrelname ~ '_i14$' AND relname ~ '^j[0-9a-f]+$'
      `);
    };
    const atFirst = await scans();
    await connection.transaction((tx) => completeJobs(tx, 'process-order', claimed));
    return [atFirst, await scans()];
  });

  t.is(claimed.length, 20);
  t.is(after, before);
  t.is((await jobOf(deps, claimed[0]?.id ?? '')).state, 'completed');
});

test.serial('to settle no job at all is no reason to fail', async (t) => {
  const { pool } = t.context.deps;

  await t.notThrowsAsync(pool.transaction((tx) => completeJobs(tx, 'process-order', [])));
});

test.serial('a job that is put off waits as long as it was told, and no shorter', async (t) => {
  const { deps } = t.context;
  const attempt = await claimOne(deps);
  const before = Date.now();

  await deps.pool.transaction((tx) =>
    retryJobAfter(deps.boss, tx, 'process-order', attempt, { message: 'busy', seconds: 900 }),
  );

  const job = await jobOf(deps, attempt.id);
  t.is(job.state, 'retry');
  t.true(job.startAfter.getTime() >= before + 899_000);
  t.deepEqual(job.output, { message: 'busy' });
});

test.serial('a job cannot be put off by somebody who has lost it', async (t) => {
  const { deps } = t.context;
  const lost = await claimOne(deps);
  await deps.boss.fail('process-order', lost.id, { message: 'heartbeat lost' });

  await t.throwsAsync(
    deps.pool.transaction((tx) =>
      retryJobAfter(deps.boss, tx, 'process-order', lost, { message: 'busy', seconds: 900 }),
    ),
    { instanceOf: ClaimLost },
  );

  t.true((await jobOf(deps, lost.id)).startAfter.getTime() < Date.now() + 60_000);
});

async function claimOne(deps: Deps) {
  const id = randomUUIDv7();
  const jobs = [{ id, data: { order_id: id } }];
  await deps.pool.transaction((tx) => enqueue(deps.boss, tx, 'process-order', jobs));
  const claimed = await claim(deps, 'process-order');
  const attempt = claimed.find((job) => job.id === id);
  if (!attempt) throw new Error(`job ${id} could not be claimed`);
  return attempt;
}
