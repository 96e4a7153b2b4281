import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { ownService, signUp, test } from '../support/context.ts';
import {
  claimJob,
  connectDba,
  lockRow,
  recordRunningBatch,
  registerWorker,
} from '../support/dba.ts';
import { FULFILMENT_SECRET, openFulfilment } from '../support/fulfilment.ts';
import { jobOf } from '../support/orders.ts';
import { startWorkerProcess } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';
import { untilOrderIs, startWorker } from '../support/workers.ts';

// An operator gives the jobs of a dead worker back to the queue.

const RELEASE = 'SELECT ops.release_worker($1, $2)';

test('ops.release_worker gives the jobs of a killed worker back at once, and they lose no retry', async (t) => {
  const { promise: never } = Promise.withResolvers<void>();
  const { calls, url } = await openFulfilment(t, () => never);
  const service = await ownService(t);
  const { deps, database } = service;
  const settings = { FULFILMENT_URL: url, FULFILMENT_SECRET, FULFILMENT_TIMEOUT_MS: '30000' };
  const killed = await startWorkerProcess(t, testEnvironment(database, settings, 'oms_worker'));
  const id = await (await signUp(service)).place();
  await until('the call', () => calls.length > 0);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_seconds = 3600 WHERE id = ${id}
  `); // longer than the test: only the operator gives it back
  const dba = await connectDba(t, service);
  const worker = await until('ops.workers to show the job', async () => {
    const [row] = await dba.rows('SELECT worker_id, pid, jobs FROM ops.workers');
    return row?.jobs === 1 && row;
  });
  t.is(worker.pid, killed.pid);

  const alive = await dba.refusal(RELEASE, [worker.worker_id, 'too early']);
  killed.send('SIGKILL');
  await until(
    'ops.workers to show the worker as dead',
    async () => (await dba.value('SELECT state FROM ops.workers')) === 'dead',
  );
  const message = await dba.value(RELEASE, [worker.worker_id, 'host is gone']);
  const waiting = await jobOf(deps, id);
  await startWorker(t, service);
  await untilOrderIs(deps, id, 'COMPLETED');

  t.is(alive.code, 'OM006');
  t.regex(alive.message, /is alive: its last heartbeat was/);
  t.is(message, '1 job(s) given back; they can start now');
  t.like(waiting, { state: 'retry', retryCount: 0, retryLimit: 13 });
  t.is((await jobOf(deps, id)).retryCount, 1);
  const [action] = await dba.rows('TABLE ops.actions');
  t.like(action, {
    who: 'oms_dba',
    action: 'release_worker',
    worker_id: worker.worker_id,
    after: { claimed_jobs: [], released: 1 },
  });
  t.deepEqual(action?.before.claimed_jobs, [{ queue: 'process-order', job_id: id, attempt: 1 }]);
});

test('ops.release_worker leaves the jobs that another worker has taken over', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [left, takenOver] = [await user.place(), await user.place()];
  const worker = await registerWorker(deps, { silentSeconds: 60 });
  for (const id of [left, takenOver]) {
    await claimJob(deps, id);
    await recordRunningBatch(deps, worker, id);
  }
  await claimJob(deps, takenOver);
  const dba = await connectDba(t);

  await dba.value(RELEASE, [worker, 'dead']);
  const again = await dba.refusal(RELEASE, [worker, 'dead still']);

  t.is((await jobOf(deps, left)).state, 'retry');
  t.like(await jobOf(deps, takenOver), { state: 'active', retryCount: 1 });
  t.is(again.code, 'OM006');
  t.regex(again.message, /is running no job/);
});

test('ops.release_worker refuses an unknown worker, a missing reason, and jobs that are locked', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const worker = await registerWorker(deps, { silentSeconds: 60 });
  await claimJob(deps, id);
  await recordRunningBatch(deps, worker, id);
  await lockRow(t, t.context, 'pgboss.job', id);
  const dba = await connectDba(t);

  t.is((await dba.refusal(RELEASE, [randomUUID(), 'typo'])).code, 'OM005');
  t.is((await dba.refusal(RELEASE, [worker, null])).code, 'OM008');
  t.is((await dba.refusal(RELEASE, [worker, 'dead'])).code, 'OM007');
  t.is((await jobOf(deps, id)).state, 'active');
  t.deepEqual(await dba.rows('SELECT id FROM ops.actions WHERE worker_id = $1', [worker]), []);
});
