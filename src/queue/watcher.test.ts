import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import type { WorkerDeps } from '../deps.ts';
import { lookUp, ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { FULFILMENT_SECRET, openFulfilment } from '../../test/support/fulfilment.ts';
import { until } from '../../test/support/until.ts';
import { untilOrderIs, startWorker } from '../../test/support/workers.ts';

test('a worker that starts while a queue is paused processes it after it is resumed, and not before', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  await pause(service);
  await startWorker(t, service);
  const id = await user.place();
  await otherQueueIsProcessed(service);

  const whilePaused = await lookUp(service.deps, id);
  await resume(service);
  await untilOrderIs(service.deps, id, 'COMPLETED');

  t.deepEqual(whilePaused, { status: 'PENDING', version: 1, job: 'created' });
  t.is((await lookUp(service.deps, id)).status, 'COMPLETED');
});

test('a worker stops processing a queue that is paused while it runs, and goes on when it is resumed', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const worker = await startWorker(t, service);
  await untilOrderIs(service.deps, await user.place(), 'COMPLETED');

  await pause(service);
  await until('the worker to stop', () => !isRegisteredFor(worker));
  const id = await user.place();
  await otherQueueIsProcessed(service);
  const whilePaused = await lookUp(service.deps, id);
  await resume(service);

  t.is(whilePaused.status, 'PENDING');
  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
});

test('a resumed queue has at most FULFILMENT_CONCURRENCY calls, including those from before the pause', async (t) => {
  const open: ServerResponse[] = [];
  let most = 0;
  const { url } = await openFulfilment(t, (response) => {
    open.push(response);
    most = Math.max(most, open.length);
  });
  const service = await ownService(t, {
    FULFILMENT_URL: url,
    FULFILMENT_SECRET,
    FULFILMENT_CONCURRENCY: '1',
    FULFILMENT_TIMEOUT_MS: '30000',
  });
  const user = await signUp(service);
  const worker = await startWorker(t, service);
  const detached = detachedBy(worker);
  const first = await user.place();
  await until('the first call', () => open.length === 1);

  await pause(service);
  await until('the worker to detach', () => detached.includes('process-order'));
  const second = await user.place();
  await resume(service);
  await untilOrderIs(service.deps, second, 'PROCESSING');
  await otherQueueIsProcessed(service); // by then, a second call would have arrived
  open.shift()?.end();
  await untilOrderIs(service.deps, first, 'COMPLETED');
  await until('the second call', () => open.length === 1);
  open.shift()?.end();
  await untilOrderIs(service.deps, second, 'COMPLETED');

  t.is(most, 1);
});

test('a worker processes orders although rows of the queue have infinite times and impossible counts', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const { pool, boss } = service.deps;
  await boss.insert('sign-head', [{ data: {} }]);
  await pool.query(sql.unsafe`
    UPDATE pgboss.job SET start_after = '-infinity', keep_until = 'infinity' WHERE name = 'sign-head'
  `);
  await pool.query(sql.unsafe`
    UPDATE pgboss.queue SET monitor_on = 'infinity', total_count = 2147483647, retained_count = -1
  `);

  await startWorker(t, service);

  t.is(await untilOrderIs(service.deps, await user.place(), 'COMPLETED'), 'COMPLETED');
});

test('an order is processed although the attempts of its job are at the maximum of an integer', async (t) => {
  const service = await ownService(t);
  const id = await (await signUp(service)).place();
  await service.deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET retry_count = 2147483647, started_on = now() WHERE id = ${id}
  `);

  await startWorker(t, service);

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
});

test('a long queue is counted less often than others', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  await makeLong(service);
  const worker = await startWorker(t, service);
  const counted = countedBy(worker);

  await untilOrderIs(service.deps, await user.place(), 'COMPLETED');
  await service.deps.boss.insert('prune', [{ data: {} }]);
  await until('the other queue to be counted', () => counted.includes('prune'));

  t.false(counted.includes('process-order'));
});

/** Makes process-order seem to have 1,000,000,000 jobs, and to have been counted an hour ago, also after a count. */
async function makeLong({ deps: { pool } }: Context): Promise<void> {
  await pool.query(sql.unsafe`
    CREATE FUNCTION stay_long() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.total_count := 1000000000;
      NEW.retained_count := 0;
      RETURN NEW;
    END $$
  `);
  await pool.query(sql.unsafe`
    CREATE TRIGGER stay_long BEFORE UPDATE ON pgboss.queue FOR EACH ROW
      WHEN (NEW.name = 'process-order') EXECUTE FUNCTION stay_long()
  `);
  await pool.query(sql.unsafe`
    UPDATE pgboss.queue SET monitor_on = now() - interval '1 hour' WHERE name = 'process-order'
  `);
}

/** The queues that the watcher has counted. pg-boss also counts all queues by itself from time to time. */
function countedBy({ boss }: WorkerDeps): unknown[] {
  const counted: unknown[] = [];
  const supervise = boss.supervise.bind(boss);
  boss.supervise = async (queue, options) => {
    await supervise(queue, options);
    counted.push(queue);
  };
  return counted;
}

/** The queues from which the worker has detached. Its batches may still be running. */
function detachedBy({ boss }: WorkerDeps): string[] {
  const detached: string[] = [];
  const offWork = boss.offWork.bind(boss);
  boss.offWork = async (queue, options) => {
    await offWork(queue, options);
    detached.push(queue);
  };
  return detached;
}

/** Whether the worker in this process is registered as a worker of the queue. */
function isRegisteredFor({ boss }: WorkerDeps): boolean {
  return boss.getWipData({ includeInternal: false }).some(({ name }) => name === 'process-order');
}

// Makes a job of another queue. When the job has ended, the worker would also have processed a due order.
async function otherQueueIsProcessed({ deps }: Context): Promise<void> {
  const id = crypto.randomUUID();
  await deps.boss.insert('audit', [{ id, data: {} }]);
  await until('the other job to end', async () => {
    const [job] = await deps.boss.findJobs('audit', { id });
    return job?.state === 'completed';
  });
}

async function pause({ deps }: Context): Promise<void> {
  await deps.pool.query(sql.unsafe`
    INSERT INTO paused_queues (queue, reason) VALUES ('process-order', 'a test')
  `);
}

async function resume({ deps }: Context): Promise<void> {
  await deps.pool.query(sql.unsafe`DELETE FROM paused_queues`);
}
