import { randomUUIDv7 } from 'node:crypto';
import type { Logger } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { claims, type OrderJob } from '../orders/processing.ts';
import { claim, ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { insertOrders, jobOf } from '../../test/support/orders.ts';
import { asOutage, isOutage } from '../db/errors.ts';
import { loggedError } from '../logged-error.ts';
import { backOffSeconds, createQueue, failJobs } from './boss.ts';

const IndexScans = z.object({ scans: z.number() });

// The tests that claim are serial: each claims all due jobs in this file's database.

test.serial('an attempt that a worker fails is repeated after the back-off', async (t) => {
  const { deps } = t.context;
  const attempt = await claimOne(t.context);
  const before = Date.now();

  const failed = await failJobs(deps.boss, 'process-order', [attempt], 'busy');

  t.deepEqual(failed, [attempt.id]);
  const job = await jobOf(deps, attempt.id);
  t.like(job, { state: 'retry', retryCount: 0, output: { message: 'busy' } });
  t.true(job.startAfter.getTime() >= before);
});

test.serial(
  'an attempt whose job another attempt has taken over cannot be failed, and others can',
  async (t) => {
    const { deps } = t.context;
    const lost = await claimOne(t.context);
    await deps.boss.fail('process-order', lost.id, { message: 'heartbeat lost' });
    const taken = await claim(deps, 'process-order', { early: true });

    const other = await claimOne(t.context);
    const failed = await failJobs(deps.boss, 'process-order', [lost, other], 'busy');

    t.deepEqual(failed, [other.id]);
    t.true(taken.some(({ id }) => id === lost.id));
    t.is((await jobOf(deps, lost.id)).state, 'active');
  },
);

test('a copy of an error that pg-boss sends is logged like the error', async (t) => {
  const logged: { err: unknown }[] = [];
  const log = { error: (fields: { err: unknown }) => logged.push(fields) } as unknown as Logger;
  const { boss, close } = createQueue(t.context.deps.config, log);
  t.teardown(() => close(0));
  const errors = [asOutage(new Error('Connection terminated unexpectedly')), new Error('odd job')];

  for (const { name, message, stack } of errors as Error[])
    boss.emit('error', { name, message, ...(stack !== undefined && { stack }) });

  t.deepEqual(
    logged.map(({ err }) => isOutage(err)),
    [true, false],
  );
  t.like(loggedError(logged[0]?.err), { type: 'DatabaseAway' });
  t.like(loggedError(logged[1]?.err), { type: 'Error', message: 'odd job' });
});

test('the back-off doubles with each attempt, up to the limit of the queue', (t) => {
  for (const [retryCount, most] of [
    [0, 2],
    [1, 4],
    [5, 64],
    [11, 300],
    [100, 300],
  ] as const) {
    const seconds = backOffSeconds('process-order', { id: randomUUIDv7(), retryCount });
    t.true(seconds >= Math.min(most / 2, 300) && seconds <= most, `${retryCount}: ${seconds} s`);
  }
});

test('completing a job does not search all live jobs, even if there were few at the last ANALYZE', async (t) => {
  const { deps, origin } = await ownService(t);
  const { id } = await signUp({ deps, origin });
  await insertOrders(deps, id, 1000);
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
    await connection.query(sql.unsafe`
      SELECT complete_orders(${claims(claimed as OrderJob[])}::jsonb, 'test:1', 1000)
    `);
    return [atFirst, await scans()];
  });

  t.is(claimed.length, 20);
  t.is(after, before);
  t.is((await jobOf(deps, claimed[0]?.id ?? '')).state, 'completed');
});

async function claimOne(service: Context) {
  const id = await (await signUp(service)).place();
  const claimed = await claim(service.deps, 'process-order');
  const attempt = claimed.find((job) => job.id === id);
  if (!attempt) throw new Error(`job ${id} could not be claimed`);
  return attempt;
}
