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
import { untilOrderIs, startWorker } from '../../test/support/workers.ts';

test('while a worker processes a job, running_batches has the worker, the job and the attempt', async (t) => {
  const { service, answer } = await withSlowFulfilment(t);
  await startWorker(t, service);

  const id = await (await signUp(service)).place();
  const [running] = await until('the batch to be recorded', async () => {
    const rows = await runningBatches(service.deps);
    return rows.length > 0 && rows;
  });
  answer();
  await untilOrderIs(service.deps, id, 'COMPLETED');

  t.like(running, { queue: 'process-order', job_ids: [id], attempts: [1], pid: process.pid });
  t.true(await until('its end to be recorded', () => noneIsRunning(service.deps)));
});

test('a worker that cannot record its batches still processes orders', async (t) => {
  const { service, answer } = await withSlowFulfilment(t);
  await service.deps.pool.query(sql.unsafe`DROP TABLE running_batches CASCADE`);
  await startWorker(t, service);
  answer();

  const id = await (await signUp(service)).place();

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
  t.is((await jobOf(service.deps, id)).state, 'completed');
});

test('an error of a batch is passed on, and the end of the batch is recorded', async (t) => {
  const { deps } = await ownService(t);
  await register(deps);
  const batches = await openRunningBatches(deps);
  const job = { id: crypto.randomUUID(), retryCount: 4 };

  const error = await t.throwsAsync(
    batches.during('prune', 'prune/0', [job], async () => {
      const running = await until('the batch to be recorded', async () => {
        const rows = await runningBatches(deps);
        return rows.length > 0 && rows;
      });
      throw new Error(`attempt ${running[0]?.attempts.join()} failed`);
    }),
  );

  t.is(error.message, 'attempt 5 failed');
  t.true(await until('its end to be recorded', () => noneIsRunning(deps)));
});

test('a worker that starts deletes the rows of workers that ended long ago', async (t) => {
  const { deps } = await ownService(t);
  const id = await register(deps);
  const ended = crypto.randomUUID(); // pg-boss has deleted its row long ago
  for (const worker of [id, ended]) {
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

/** Adds this process to pg-boss's registry, as a worker does when it starts. */
async function register({ pool }: Deps): Promise<string> {
  return pool.oneFirst(sql.type(z.object({ id: z.guid() }))`
    INSERT INTO pgboss.instance (id, name, host, pid, version, node_version, heartbeat_seconds,
      supervise, schedule, migrate, persist_queue_stats, persist_warnings)
    VALUES (gen_random_uuid(), 'worker', ${hostname()}, ${process.pid}, '12', '26', 3, true, true, true, true, true)
    RETURNING id
  `);
}

/** The rows of pollers that are working on jobs. */
function runningBatches({ pool }: Deps) {
  const Row = z.object({
    queue: z.string(),
    job_ids: z.array(z.guid()),
    attempts: z.array(z.int()),
    pid: z.int(),
  });
  return pool.any(sql.type(Row)`
    SELECT b.queue, b.job_ids, b.attempts, i.pid
    FROM running_batches AS b JOIN pgboss.instance AS i ON i.id = b.worker_id
    WHERE cardinality(b.job_ids) > 0
  `);
}

async function noneIsRunning(deps: Deps): Promise<boolean> {
  return (await runningBatches(deps)).length === 0;
}

/** A service whose orders wait for their external step until `answer` is called. */
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
