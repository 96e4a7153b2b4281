import { ownService, signUp, test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { FULFILMENT_SECRET, openFulfilment, status } from '../support/fulfilment.ts';
import { until } from '../support/until.ts';
import { untilOrderIs, startWorker } from '../support/workers.ts';

// An operator pauses and resumes a queue.

const PAUSED = 'SELECT queue, paused_by, paused_at, reason FROM ops.paused_queues';

test('workers leave a paused queue alone until an operator resumes it, and both actions are recorded', async (t) => {
  const service = await ownService(t);
  const worker = await startWorker(t, service);
  const user = await signUp(service);
  const dba = await connectDba(t, service);
  await untilOrderIs(service.deps, await user.place(), 'COMPLETED');

  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);
  await until('the worker to stop its pollers', () =>
    worker.boss.getWipData().every(({ name }) => name !== 'process-order'),
  );
  const id = await user.place();
  const paused = await dba.rows('TABLE ops.paused_queues');
  const inQueues = await dba.value(`SELECT paused FROM ops.queues WHERE queue = 'process-order'`);
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
  t.like(paused[0], { queue: 'process-order', paused_by: 'oms_dba', reason: 'warehouse moves' });
  t.true(inQueues);
  t.deepEqual(await dba.rows('TABLE ops.paused_queues'), []);
  const actions = await dba.rows('SELECT who, action, reason, before, after FROM ops.actions');
  t.like(actions[1], { who: 'oms_dba', action: 'pause_queue', after: { paused: true } });
  t.like(actions[0], { action: 'resume_queue', reason: 'it has moved', after: { paused: false } });
  t.like(actions[0]?.before, { paused: true, by: 'oms_dba', reason: 'warehouse moves' });
});

test('ops.workers shows an idle worker with its queues and no jobs, and without a paused queue', async (t) => {
  const service = await ownService(t);
  await startWorker(t, service);
  const user = await signUp(service);
  const dba = await connectDba(t, service);
  const explain = (id: string) => dba.value('SELECT ops.explain_job($1)', [id]);
  const shown = () =>
    dba.rows(`SELECT pid, state, jobs, 'process-order' = ANY (queues) AS works FROM ops.workers`);
  const whenShown = (works: boolean) =>
    until(`a worker that ${works ? 'works on' : 'has left'} the queue`, async () => {
      const [row] = await shown();
      return row?.works === works && shown();
    });

  const beforePause = await whenShown(true);
  const done = await user.place();
  await untilOrderIs(service.deps, done, 'COMPLETED');
  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);
  const whilePaused = await whenShown(false);
  const id = await user.place();
  const waiting = await explain(id);
  await service.deps.boss.update('process-order', undefined, { id, startAfter: 3600 });
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);
  const afterResume = await whenShown(true);
  const later = await explain(id);
  await service.deps.boss.update('process-order', undefined, { id, startAfter: 0 });
  await untilOrderIs(service.deps, id, 'COMPLETED');

  const alive = { pid: process.pid, state: 'alive', jobs: 0 };
  t.deepEqual(beforePause, [{ ...alive, works: true }]);
  t.deepEqual(whilePaused, [{ ...alive, works: false }]);
  t.deepEqual(afterResume, [{ ...alive, works: true }]);
  t.regex(await explain(done), /order COMPLETED\nCompleted at .* ago\), by attempt 1\.$/);
  t.regex(waiting, /order PENDING\nPaused: oms_dba paused the queue at /);
  t.notRegex(waiting, /No worker/);
  t.regex(later, /order PENDING\nScheduled: it does not start before /);
  t.notRegex(later, /No worker|Paused/);
  t.deepEqual(await dba.rows('SELECT job_id FROM ops.jobs WHERE worker_id IS NOT NULL'), []);
});

test('ops.workers counts the jobs from before a pause together with those from after it', async (t) => {
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
  await until('the worker to stop its pollers', () =>
    own().every(({ state }) => state === 'stopping'),
  );
  await dba.value(`SELECT ops.resume_queue('process-order', 'it has moved')`);
  const after = await user.place();
  await until('the second call', () => calls.length === 2);

  const jobs = () => dba.value('SELECT jobs FROM ops.workers');
  await until('both to be shown', async () => Number(await jobs()) === 2);
  t.is(calls.length, 2, 'neither job is tried again meanwhile');
  answer();
  t.is(await untilOrderIs(service.deps, before, 'COMPLETED'), 'COMPLETED');
  t.is(await untilOrderIs(service.deps, after, 'COMPLETED'), 'COMPLETED');
});

for (const action of ['pause_queue', 'resume_queue']) {
  const CALL = `SELECT ops.${action}($1, $2)`;

  test(`ops.${action} refuses an unknown queue, a missing reason, and an action without effect`, async (t) => {
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

  test(`ops.${action} does not wait for another operator who pauses or resumes the queue`, async (t) => {
    const service = await ownService(t);
    const [dba, other] = [await connectDba(t, service), await connectDba(t, service)];
    if (action === 'resume_queue') await dba.value(`SELECT ops.pause_queue('prune', 'first')`);
    await other.rows('BEGIN');
    await other.rows(CALL, ['prune', 'not yet committed']);

    t.is((await dba.refusal(CALL, ['prune', 'me too'])).code, 'OM007');
  });
}
