import { ownService, signUp, test } from '../support/context.ts';
import {
  claimJob,
  connectDba,
  exhaustRetries,
  recordRunningBatch,
  registerWorker,
} from '../support/dba.ts';

// Views are read with the rights of a read-only role.
const READER = 'oms_dba_read';

test('ops.jobs shows a job with its order, attempt, worker, age and last error, and no payload', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place({ product_name: 'Secret', amount: 1 });
  await claimJob(deps, id);
  await deps.boss.fail('process-order', id, { message: 'warehouse is busy' });
  await claimJob(deps, id);
  const worker = await registerWorker(deps);
  await recordRunningBatch(deps, worker, id, 2);
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

test('ops.jobs does not name a worker whose attempt has ended', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  await recordRunningBatch(deps, await registerWorker(deps), id, 1);
  await claimJob(deps, id); // by another worker, after the first one has lost the job
  const dba = await connectDba(t, t.context, READER);

  const [row] = await dba.rows('SELECT * FROM ops.jobs WHERE job_id = $1', [id]);

  t.like(row, { attempt: 2, worker: null, worker_id: null });
});

test('ops.jobs and ops.dead_letters show a dead letter with its order', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const letter = await exhaustRetries(deps, id, 'out of stock');
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

test('ops.workers shows which workers are alive or dead, and how many jobs each is running', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const [running, left, lost] = [await user.place(), await user.place(), await user.place()];
  const alive = await registerWorker(deps, { pid: 1 });
  const dead = await registerWorker(deps, { pid: 2, silentSeconds: 60 });
  await registerWorker(deps, { pid: 3, silentSeconds: 7200 });
  for (const id of [running, left, lost]) await claimJob(deps, id);
  await recordRunningBatch(deps, alive, running);
  await recordRunningBatch(deps, dead, left);
  await recordRunningBatch(deps, dead, lost);
  await claimJob(deps, lost);
  const dba = await connectDba(t, service, READER);

  const rows = await dba.rows('SELECT worker_id, pid, state, jobs, queues FROM ops.workers');

  t.deepEqual(rows, [
    { worker_id: alive, pid: 1, state: 'alive', jobs: 1, queues: ['process-order'] },
    { worker_id: dead, pid: 2, state: 'dead', jobs: 1, queues: ['process-order'] },
  ]);
});
