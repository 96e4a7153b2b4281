import { sql } from 'slonik';
import { z } from 'zod';
import { lookUp, ownService, signUp, test, type Context } from './testing/context.ts';
import { until } from './testing/until.ts';
import { ends, startWorker } from './testing/workers.ts';

test('a worker that starts while a queue is paused does not work it, and does when it is resumed', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  await pause(service);
  const worker = await startWorker(t, service);
  const id = await user.place();
  await otherQueueIsWorked(service);

  const whilePaused = await lookUp(service.deps, id);
  await resume(service);
  await ends(worker, id, 'COMPLETED');

  t.deepEqual(whilePaused, { status: 'PENDING', version: 1, job: 'created' });
  t.is((await lookUp(worker, id)).status, 'COMPLETED');
});

test('a worker lets go of a queue that is paused while it runs', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const worker = await startWorker(t, service);
  await ends(worker, await user.place(), 'COMPLETED');

  await pause(service);
  await until('the worker to let go', () => !attachedTo(worker));
  const id = await user.place();
  await otherQueueIsWorked(service);
  const whilePaused = await lookUp(worker, id);
  await resume(service);

  t.is(whilePaused.status, 'PENDING');
  t.is(await ends(worker, id, 'COMPLETED'), 'COMPLETED');
});

test('a long queue is counted less often than others', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const worker = await startWorker(t, service);
  await ends(worker, await user.place(), 'COMPLETED');
  await service.deps.boss.insert('prune', [{ data: {} }]);
  const both = async () => (await countedAgo(service)).every((ago) => ago < 3600);
  await until('both to be counted', both);

  // Twice, since the first time it may have been at it already.
  for (let time = 1; time <= 2; time += 1) {
    await service.deps.pool.query(sql.unsafe`
      UPDATE pgboss.queue
      SET monitor_on = now() - interval '1 hour', monitor_claim_on = NULL, retained_count = 0,
        total_count = CASE name WHEN 'process-order' THEN 1000000000 ELSE 1 END
      WHERE name = 'prune' OR name = 'process-order' AND ${time} = 1
    `);
    await ends(worker, await user.place(), 'COMPLETED');
    await service.deps.boss.insert('prune', [{ data: {} }]);
    const other = async () => (await countedAgo(service))[1] ?? Infinity;
    await until('the other queue to be counted', async () => (await other()) < 3600);
  }

  const [long] = await countedAgo(service);
  t.true(long !== undefined && long >= 3600);
});

/** Seconds since process-order and prune were counted. */
function countedAgo({ deps }: Context): Promise<readonly number[]> {
  return deps.pool.anyFirst(sql.type(z.object({ ago: z.number() }))`
    SELECT coalesce(extract(epoch FROM now() - monitor_on), 1e9)::float8 AS ago FROM pgboss.queue
    WHERE name IN ('process-order', 'prune') ORDER BY name
  `);
}

/** Whether the worker in this process still asks for jobs of the queue. */
function attachedTo({ boss }: Context['deps']): boolean {
  return boss.getWipData({ includeInternal: false }).some(({ name }) => name === 'process-order');
}

// A job that is made after the order and done before it shows that the worker had its chance.
async function otherQueueIsWorked({ deps }: Context): Promise<void> {
  const id = crypto.randomUUID();
  await deps.boss.insert('fail-order', [{ id, data: { order_id: crypto.randomUUID() } }]);
  await until('the other queue', async () => {
    const [job] = await deps.boss.findJobs('fail-order', { id });
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
