import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { ownService, signUp, test, type Context } from '../support/context.ts';
import {
  connectDba,
  failOrder,
  exhaustRetries,
  recordRunningBatch,
  registerWorker,
  claimJob,
} from '../support/dba.ts';

// What ops.explain_job says about a job in each state. Each test has a database of its own, because the explanation
// counts the other jobs of the queue.

test('for a ready job, ops.explain_job says how many jobs are before it', async (t) => {
  const { user, explain } = await withWorker(t);
  const ids = [await user.place(), await user.place(), await user.place()];

  t.regex(
    await explain(ids[0]),
    /order PENDING\nReady since .* ago\): next in line, with no job before it/,
  );
  t.regex(await explain(ids[2]), /\nReady since .*: 2 job\(s\) are before it in the queue\.$/);
});

test('for a ready job in a very long queue, ops.explain_job counts up to 1,000 jobs before it', async (t) => {
  const { service, user, explain } = await withWorker(t);
  await service.deps.pool.query(sql.unsafe`
    SELECT place_order(${user.id}, 'Kettle', 34.90) FROM generate_series(1, 1100)
  `);

  t.regex(await explain(await user.place()), /more than 1,000 jobs are before it/);
});

test('for a scheduled job, ops.explain_job says when it starts', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  await service.deps.boss.update('process-order', undefined, { id, startAfter: 3600 });

  t.regex(await explain(id), /\nScheduled: it does not start before .* \(in 00:59:5\d\)\.$/);
});

test('for a job in its back-off, ops.explain_job says when the next attempt starts, and the last error', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const { deps } = service;
  const id = await user.place();
  await claimJob(deps, id);
  await deps.boss.fail('process-order', id, { message: 'warehouse is busy' });
  await deps.boss.update('process-order', undefined, { id, startAfter: 60 });

  t.regex(
    await explain(id),
    /\nBack-off: attempt 1 of 13 failed \(warehouse is busy\); the next one starts at .* \(in 00:00:5\d\)\.$/,
  );
});

test('for an active job, ops.explain_job says which worker runs it, since when, and its last heartbeat', async (t) => {
  const { service, user, worker, explain } = await withWorker(t);
  const id = await user.place();
  await claimJob(service.deps, id);

  const before = await explain(id);
  await recordRunningBatch(service.deps, worker, id);
  const after = await explain(id);

  t.regex(before, /\nRunning: attempt 1 by an unknown worker, which has not reported the job\./);
  t.regex(
    after,
    new RegExp(
      `\\nRunning: attempt 1 by worker ${worker} \\(.+:4711\\)\\. Started .*; last heartbeat .* ago\\)\\.$`,
    ),
  );
});

test('for a job of a dead worker, ops.explain_job says when it is given back, and how to do so now', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  const dead = await registerWorker(service.deps, { silentSeconds: 60, pid: 4712 });
  await claimJob(service.deps, id);
  await recordRunningBatch(service.deps, dead, id);

  t.regex(
    await explain(id),
    /But that worker is dead: .* is given back within 1\d s, or now by SELECT ops\.release_worker/,
  );
});

test('for a job whose heartbeat is lost, ops.explain_job says whether a living worker reschedules it', async (t) => {
  const { service, user, worker, explain } = await withWorker(t);
  const { pool } = service.deps;
  const id = await user.place();
  await claimJob(service.deps, id);
  await pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 minute' WHERE id = ${id}
  `);

  const rescued = await explain(id);
  await pool.query(sql.unsafe`UPDATE pgboss.instance SET stopped_on = now() WHERE id = ${worker}`);
  const alone = await explain(id);

  t.regex(rescued, /\nHeartbeat lost: .* A living worker reschedules it within 2 s\.$/);
  t.regex(alone, /\nHeartbeat lost: .* No living worker can reschedule it: start one\.$/);
});

test('for a job in a paused queue, ops.explain_job says who paused the queue, when and why', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  const dba = await connectDba(t, service);
  await dba.value(`SELECT ops.pause_queue('process-order', 'warehouse moves')`);

  const [, first] = (await explain(id)).split('\n');

  t.regex(first ?? '', /^Paused: oms_dba paused the queue at .* ago\): warehouse moves$/);
});

test('for a job in a queue without a living worker, ops.explain_job says so', async (t) => {
  const { service, user, worker, explain } = await withWorker(t);
  const id = await user.place();
  await service.deps.pool.query(sql.unsafe`
    UPDATE pgboss.instance SET heartbeat_on = now() - interval '1 minute' WHERE id = ${worker}
  `);
  await registerWorker(service.deps, { queues: ['prune'] });

  t.regex(await explain(id), /\nNo worker: no living worker takes jobs from this queue\./);
});

test('for a job that waits for other jobs, ops.explain_job says so', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  await service.deps.pool.query(sql.unsafe`UPDATE pgboss.job SET blocked = true WHERE id = ${id}`);

  t.regex(await explain(id), /\nBlocked: it waits for other jobs to complete first\.$/);
});

test('for a job whose order has ended, ops.explain_job says that it will do nothing', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  await failOrder(service.deps, id);
  await service.deps.boss.retry('process-order', id); // the retry of pg-boss itself leaves the order as it is

  t.regex(
    await explain(id),
    /order FAILED\nOver: its order is FAILED, so the worker .* does nothing\./,
  );
});

test('for a job that has ended, ops.explain_job says when and how', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const { boss } = service.deps;
  const [completed, cancelled] = [await user.place(), await user.place()];
  await claimJob(service.deps, completed);
  await boss.complete('process-order', completed);
  const dba = await connectDba(t, service);
  await dba.value('SELECT ops.cancel_order($1, $2)', [cancelled, 'they called']);

  t.regex(await explain(completed), /\nCompleted at .* ago\), by attempt 1\.$/);
  t.regex(
    await explain(cancelled),
    /order CANCELLED\nCancelled at .*: role:oms_dba cancelled the order \(they called\)\.$/,
  );
});

test('for a job that has failed finally, ops.explain_job says why, and how to try it again', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  const letter = await exhaustRetries(service.deps, id, 'out of stock');
  const pruning = randomUUID();
  await service.deps.boss.insert('prune', [{ id: pruning, data: {}, retryLimit: 0 }]);
  await service.deps.boss.fail('prune', pruning);

  t.regex(
    await explain(id),
    new RegExp(
      `\\nFailed finally at .*, after 1 attempt\\(s\\): out of stock\\. Dead-lettered: job ${letter} of queue ` +
        `fail-order, which is created\\. SELECT ops\\.retry_order\\('${id}', reason\\) tries it again\\.$`,
    ),
  );
  t.regex(
    await explain(pruning),
    /no error given\. SELECT \* FROM ops\.redrive\('prune'\) tries failed jobs again\.$/,
  );
});

test('for a dead letter, ops.explain_job names its original job, and says what it waits for', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const id = await user.place();
  const letter = await exhaustRetries(service.deps, id, 'out of stock');

  t.regex(
    await explain(letter),
    new RegExp(
      `queue fail-order, order PENDING\\nA dead letter: job ${id} of queue process-order was given up after 1 ` +
        `attempt\\(s\\): out of stock\\.\\nNo worker: .*\\nReady since`,
    ),
  );
});

test('for an order without a job, ops.explain_job says so, with the remedy when the order is open', async (t) => {
  const { service, user, explain } = await withWorker(t);
  const [open, failed] = [await user.place(), await user.place()];
  await failOrder(service.deps, failed);
  for (const id of [open, failed]) await service.deps.boss.deleteJob('process-order', id);

  t.regex(await explain(open), /is PENDING and has no job, .*: SELECT ops\.retry_order\(/);
  t.regex(await explain(failed), /is FAILED since .* Its job is gone: jobs are deleted a day/);
});

test('ops.explain_job refuses an unknown id', async (t) => {
  const { service } = await withWorker(t);
  const dba = await connectDba(t, service);

  const { code } = await dba.refusal('SELECT ops.explain_job($1)', [randomUUID()]);

  t.is(code, 'OM005');
});

/** A service with a worker that is registered and does not run, and ops.explain_job as a read-only DBA calls it. */
async function withWorker(t: ExecutionContext<Context>) {
  const service = await ownService(t);
  const user = await signUp(service);
  const worker = await registerWorker(service.deps);
  const dba = await connectDba(t, service, 'oms_dba_read');
  const explain = (id: string | undefined): Promise<string> =>
    dba.value('SELECT ops.explain_job($1)', [id]);
  return { service, user, worker, explain };
}
