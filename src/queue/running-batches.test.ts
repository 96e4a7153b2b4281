import { hostname } from 'node:os';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { openRunningBatches } from './running-batches.ts';
import { ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { FULFILMENT_SECRET, openFulfilment, status } from '../../test/support/fulfilment.ts';
import { jobOf } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';
import { ends, startWorker } from '../../test/support/workers.ts';

test('while a worker has a job in hand the database says which worker, and at which attempt', async (t) => {
  const { service, answer } = await withSlowFulfilment(t);
  await startWorker(t, service);

  const id = await (await signUp(service)).place();
  const [held] = await until('the hold', async () => {
    const rows = await holdsOf(service.deps);
    return rows.length > 0 && rows;
  });
  answer();
  await ends(service.deps, id, 'COMPLETED');

  t.like(held, { queue: 'process-order', job_ids: [id], attempts: [1], pid: process.pid });
  t.true(await until('an empty hand', async () => (await holdsOf(service.deps)).length === 0));
});

test('a worker that cannot record what it holds says so and works on', async (t) => {
  const { service, answer } = await withSlowFulfilment(t);
  await service.deps.pool.query(sql.unsafe`DROP TABLE running_batches CASCADE`);
  await startWorker(t, service);
  answer();

  const id = await (await signUp(service)).place();

  t.is(await ends(service.deps, id, 'COMPLETED'), 'COMPLETED');
  t.is((await jobOf(service.deps, id)).state, 'completed');
});

test('what fails while jobs are held fails as it would without, and nothing is held any more', async (t) => {
  const { deps } = await ownService(t);
  await register(deps);
  const holds = await openRunningBatches(deps);
  const job = { id: crypto.randomUUID(), retryCount: 4 };

  const error = await t.throwsAsync(
    holds.during('prune', 'prune/0', [job], async () => {
      const held = await until('the hold', async () => {
        const rows = await holdsOf(deps);
        return rows.length > 0 && rows;
      });
      throw new Error(`holding attempt ${held[0]?.attempts.join()}`);
    }),
  );

  t.is(error.message, 'holding attempt 5');
  t.true(await until('an empty hand', async () => (await holdsOf(deps)).length === 0));
});

test('what workers held that are long gone is forgotten when the next one starts', async (t) => {
  const { deps } = await ownService(t);
  const id = await register(deps);
  const gone = crypto.randomUUID();
  for (const worker of [id, gone]) {
    await deps.pool.query(sql.unsafe`
      INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
      VALUES (${worker}, 'prune/0', 'prune', ARRAY[gen_random_uuid()], ARRAY[1])
    `);
  }

  await openRunningBatches(deps);

  const Row = z.object({ worker_id: z.guid() });
  const left = await deps.pool.any(sql.type(Row)`SELECT worker_id FROM running_batches`);
  t.deepEqual(left, [{ worker_id: id }]);
});

/** Puts this process on pg-boss's register, as a worker does when it starts. */
async function register({ pool }: Deps): Promise<string> {
  return pool.oneFirst(sql.type(z.object({ id: z.guid() }))`
    INSERT INTO pgboss.instance (id, name, host, pid, version, node_version, heartbeat_seconds,
      supervise, schedule, migrate, persist_queue_stats, persist_warnings)
    VALUES (gen_random_uuid(), 'worker', ${hostname()}, ${process.pid}, '12', '26', 3, true, true, true, true, true)
    RETURNING id
  `);
}

/** What is in hand now, empty hands left out. */
function holdsOf({ pool }: Deps) {
  const Row = z.object({
    queue: z.string(),
    job_ids: z.array(z.guid()),
    attempts: z.array(z.int()),
    pid: z.int(),
  });
  return pool.any(sql.type(Row)`
    SELECT h.queue, h.job_ids, h.attempts, i.pid
    FROM running_batches AS h JOIN pgboss.instance AS i ON i.id = h.worker_id
    WHERE cardinality(h.job_ids) > 0
  `);
}

/** A service whose orders stay in the workers' hands until `answer` is called. */
async function withSlowFulfilment(t: ExecutionContext<Context>) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { url } = await openFulfilment(t, async (response, call) => {
    await promise;
    return status(200)(response, call);
  });
  const settings = { FULFILMENT_URL: url, FULFILMENT_SECRET, FULFILMENT_TIMEOUT_MS: '30000' };
  const service = await ownService(t, settings);
  return { service, answer: () => resolve() };
}
