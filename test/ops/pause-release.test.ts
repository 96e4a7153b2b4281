import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { ownService, signUp, test } from '../support/context.ts';
import { connectDba, hold, lock, registerWorker, take } from '../support/dba.ts';
import { FULFILMENT_SECRET, openFulfilment, status } from '../support/fulfilment.ts';
import { jobOf } from '../support/orders.ts';
import { startWorker as startProcess } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';
import { ends, startWorker } from '../support/workers.ts';

const PAUSED = 'SELECT queue, paused_by, paused_at, reason FROM ops.paused_queues';
const RELEASE = 'SELECT ops.release_worker($1, $2)';

test('a queue that an operator pauses is not worked until it is resumed, on the record', async (t) => {
  const service = await ownService(t);
  const worker = await startWorker(t, service);
  const user = await signUp(service);
  const dba = await connectDba(t, service);
  await ends(service.deps, await user.place(), 'COMPLETED');

  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);
  await until('the worker to let go', () =>
    worker.boss.getWipData().every(({ name }) => name !== 'process-order'),
  );
  const id = await user.place();
  const paused = await dba.rows('TABLE ops.paused_queues');
  const inQueues = await dba.value(`SELECT paused FROM ops.queues WHERE queue = 'process-order'`);
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);

  t.is(await ends(service.deps, id, 'COMPLETED'), 'COMPLETED');
  t.like(paused[0], { queue: 'process-order', paused_by: 'oms_dba', reason: 'warehouse moves' });
  t.true(inQueues);
  t.deepEqual(await dba.rows('TABLE ops.paused_queues'), []);
  const actions = await dba.rows('SELECT who, action, reason, before, after FROM ops.actions');
  t.like(actions[1], { who: 'oms_dba', action: 'pause_queue', after: { paused: true } });
  t.like(actions[0], { action: 'resume_queue', reason: 'it has moved', after: { paused: false } });
  t.like(actions[0]?.before, { paused: true, by: 'oms_dba', reason: 'warehouse moves' });
});

test('a worker without a claim is shown for its queues with no jobs, and not for a paused queue', async (t) => {
  const service = await ownService(t);
  await startWorker(t, service);
  const user = await signUp(service);
  const dba = await connectDba(t, service);
  const explain = (id: string) => dba.value('SELECT ops.explain_job($1)', [id]);
  const shown = () =>
    dba.rows(`SELECT pid, state, jobs, 'process-order' = ANY (queues) AS works FROM ops.workers`);
  const whenShown = (works: boolean) =>
    until(`a worker that ${works ? 'works' : 'lets go of'} the queue`, async () => {
      const [row] = await shown();
      return row?.works === works && shown();
    });

  const atWork = await whenShown(true);
  const done = await user.place();
  await ends(service.deps, done, 'COMPLETED');
  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);
  const whilePaused = await whenShown(false);
  const id = await user.place();
  const waiting = await explain(id);
  await service.deps.boss.update('process-order', undefined, { id, startAfter: 3600 });
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);
  const afterwards = await whenShown(true);
  const later = await explain(id);
  await service.deps.boss.update('process-order', undefined, { id, startAfter: 0 });
  await ends(service.deps, id, 'COMPLETED');

  const alive = { pid: process.pid, state: 'alive', jobs: 0 };
  t.deepEqual(atWork, [{ ...alive, works: true }]);
  t.deepEqual(whilePaused, [{ ...alive, works: false }]);
  t.deepEqual(afterwards, [{ ...alive, works: true }]);
  t.regex(await explain(done), /order COMPLETED\nCompleted at .* ago\), by attempt 1\.$/);
  t.regex(waiting, /order PENDING\nPaused: oms_dba paused the queue at /);
  t.notRegex(waiting, /No worker/);
  t.regex(later, /order PENDING\nScheduled: it does not start before /);
  t.notRegex(later, /No worker|Paused/);
  t.deepEqual(await dba.rows('SELECT job_id FROM ops.jobs WHERE worker_id IS NOT NULL'), []);
});

test('what a worker has had in hand since before a pause is shown beside what it took after it', async (t) => {
  const { promise, resolve: answer } = Promise.withResolvers<void>();
  const { calls, url } = await openFulfilment(t, async (response, call) => {
    await promise;
    return status(200)(response, call);
  });
  const settings = { FULFILMENT_URL: url, FULFILMENT_SECRET, FULFILMENT_TIMEOUT_MS: '30000' };
  const service = await ownService(t, settings);
  const worker = await startWorker(t, service);
  const user = await signUp(service);
  const dba = await connectDba(t, service);
  const before = await user.place();
  await until('the first call', () => calls.length === 1);

  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);
  const own = () => worker.boss.getWipData().filter(({ name }) => name === 'process-order');
  await until('the worker to let go', () => own().every(({ state }) => state === 'stopping'));
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);
  const after = await user.place();
  await until('the second call', () => calls.length === 2);

  const jobs = () => dba.value('SELECT jobs FROM ops.workers');
  await until('both to be shown', async () => Number(await jobs()) === 2);
  t.is(calls.length, 2, 'before either is tried again');
  answer();
  t.is(await ends(service.deps, before, 'COMPLETED'), 'COMPLETED');
  t.is(await ends(service.deps, after, 'COMPLETED'), 'COMPLETED');
});

for (const action of ['pause_queue', 'resume_queue']) {
  const CALL = `SELECT ops.${action}($1, $2)`;

  test(`ops.${action} refuses an unknown queue, a missing reason and what is so already`, async (t) => {
    const service = await ownService(t);
    const dba = await connectDba(t, service);
    if (action === 'pause_queue') await dba.value(CALL, ['prune', 'first']);
    const before = await dba.rows(PAUSED);

    t.is((await dba.refusal(CALL, ['no-such-queue', 'why'])).code, 'OM005');
    t.is((await dba.refusal(CALL, ['__pgboss__send-it', 'why'])).code, 'OM005');
    t.is((await dba.refusal(CALL, ['prune', ' '])).code, 'OM008');
    t.is((await dba.refusal(CALL, ['prune', 'again'])).code, 'OM006');

    t.deepEqual(await dba.rows(PAUSED), before);
    t.is((await dba.rows('TABLE ops.actions')).length, before.length);
  });

  test(`ops.${action} does not wait for somebody else who pauses or resumes`, async (t) => {
    const service = await ownService(t);
    const [dba, other] = [await connectDba(t, service), await connectDba(t, service)];
    if (action === 'resume_queue') await dba.value(`SELECT ops.pause_queue('prune', 'first')`);
    await other.rows('BEGIN');
    await other.rows(CALL, ['prune', 'not yet committed']);

    t.is((await dba.refusal(CALL, ['prune', 'me too'])).code, 'OM007');
  });
}

test('the jobs of a worker that was killed are given back at once, and lose no retry', async (t) => {
  const { promise: never } = Promise.withResolvers<void>();
  const { calls, url } = await openFulfilment(t, () => never);
  const service = await ownService(t);
  const { deps, database } = service;
  const settings = { FULFILMENT_URL: url, FULFILMENT_SECRET, FULFILMENT_TIMEOUT_MS: '30000' };
  const killed = await startProcess(t, testEnvironment(database, settings, 'oms_worker'));
  const id = await (await signUp(service)).place();
  await until('the call', () => calls.length > 0);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_seconds = 3600 WHERE id = ${id}
  `); // so that only the operator can give it back
  const dba = await connectDba(t, service);
  const worker = await until('the job to be seen in its hands', async () => {
    const [row] = await dba.rows('SELECT worker_id, pid, jobs FROM ops.workers');
    return row?.jobs === 1 && row;
  });
  t.is(worker.pid, killed.pid);

  const alive = await dba.refusal(RELEASE, [worker.worker_id, 'too early']);
  killed.send('SIGKILL');
  await until(
    'its death to be noticed',
    async () => (await dba.value('SELECT state FROM ops.workers')) === 'dead',
  );
  const said = await dba.value(RELEASE, [worker.worker_id, 'host is gone']);
  const waiting = await jobOf(deps, id);
  await startWorker(t, service);
  await ends(deps, id, 'COMPLETED');

  t.is(alive.code, 'OM006');
  t.regex(alive.message, /is alive: its last heartbeat was/);
  t.is(said, '1 job(s) given back; they can start now');
  t.like(waiting, { state: 'retry', retryCount: 0, retryLimit: 13 });
  t.is((await jobOf(deps, id)).retryCount, 1);
  const [action] = await dba.rows('TABLE ops.actions');
  t.like(action, {
    who: 'oms_dba',
    action: 'release_worker',
    worker_id: worker.worker_id,
    after: { holds: [], released: 1 },
  });
  t.deepEqual(action?.before.holds, [{ queue: 'process-order', job_id: id, attempt: 1 }]);
});

test('of what a dead worker held, only what nobody has taken over is given back', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [held, takenOver] = [await user.place(), await user.place()];
  const worker = await registerWorker(deps, { silentSeconds: 60 });
  for (const id of [held, takenOver]) {
    await take(deps, id);
    await hold(deps, worker, id);
  }
  await take(deps, takenOver);
  const dba = await connectDba(t);

  await dba.value(RELEASE, [worker, 'dead']);
  const again = await dba.refusal(RELEASE, [worker, 'dead still']);

  t.is((await jobOf(deps, held)).state, 'retry');
  t.like(await jobOf(deps, takenOver), { state: 'active', retryCount: 1 });
  t.is(again.code, 'OM006');
  t.regex(again.message, /is running no job/);
});

test('a worker that nobody knows, whose jobs are locked, or without a reason is not released', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const worker = await registerWorker(deps, { silentSeconds: 60 });
  await take(deps, id);
  await hold(deps, worker, id);
  await lock(t, t.context, 'pgboss.job', id);
  const dba = await connectDba(t);

  t.is((await dba.refusal(RELEASE, [randomUUID(), 'typo'])).code, 'OM005');
  t.is((await dba.refusal(RELEASE, [worker, null])).code, 'OM008');
  t.is((await dba.refusal(RELEASE, [worker, 'dead'])).code, 'OM007');
  t.is((await jobOf(deps, id)).state, 'active');
  t.deepEqual(await dba.rows('SELECT id FROM ops.actions WHERE worker_id = $1', [worker]), []);
});
