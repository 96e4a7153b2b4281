import { sql } from 'slonik';
import { createSettlement } from '../../src/orders/settlement.ts';
import { ClaimLost } from '../../src/queue/boss.ts';
import { asWorker, drain, lookUp, ownService, signUp, test } from '../support/context.ts';
import {
  claimJob,
  connectDba,
  exhaustRetries,
  failOrder,
  recordRunningBatch,
  registerWorker,
} from '../support/dba.ts';
import { eventsOf, jobOf } from '../support/orders.ts';

// No worker runs in this file's database. Each test uses its own orders.

const RETRY = 'SELECT ops.retry_order($1, $2)';
const ACTIONS = `
  SELECT who, action, reason, before -> 'order' ->> 'status' AS before, after -> 'order' ->> 'status' AS after
  FROM ops.actions WHERE order_id = $1`;

test('a FAILED order that an operator retries is processed, and the retry is recorded', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  await failOrder(deps, id);
  const dba = await connectDba(t, service);

  const message = await dba.value(RETRY, [id, 'ticket 4711']);
  const waiting = await jobOf(deps, id);
  await drain(deps, 'process-order');

  t.is(message, `order ${id} was FAILED, is PENDING; attempt 2 can start now`);
  t.like(waiting, { state: 'retry', retryLimit: 1 + 12 });
  t.true(waiting.startAfter <= new Date());
  t.is((await lookUp(deps, id)).status, 'COMPLETED');
  const put = (await eventsOf(deps, id)).find(({ actor }) => actor === 'role:oms_dba');
  t.like(put, { to_status: 'PENDING', reason: 'ticket 4711' });
  t.deepEqual(await dba.rows(ACTIONS, [id]), [
    {
      who: 'oms_dba',
      action: 'retry_order',
      reason: 'ticket 4711',
      before: 'FAILED',
      after: 'PENDING',
    },
  ]);
});

test('a worker cannot commit an attempt that began before an operator retried the order', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  const zombie = await jobOf(deps, id);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 minute' WHERE id = ${id}
  `);
  const dba = await connectDba(t);

  await dba.value(RETRY, [id, 'worker hangs']);
  await claimJob(deps, id);

  const settlement = createSettlement(asWorker(deps));
  await t.throwsAsync(settlement.end(zombie, { status: 'COMPLETED' }), { instanceOf: ClaimLost });
  t.is((await lookUp(deps, id)).status, 'PENDING');
  t.is((await jobOf(deps, id)).retryCount, zombie.retryCount + 1);
});

test('retrying an order whose job was deleted makes a job that continues the count of attempts', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  await claimJob(deps, id);
  const job = await jobOf(deps, id);
  const refused = { status: 'FAILED', reason: 'refused' } as const;
  t.true(await createSettlement(asWorker(deps)).end(job, refused));
  await deps.boss.deleteJob('process-order', id);
  const dba = await connectDba(t);

  await dba.value(RETRY, [id, 'again']);
  const made = await jobOf(deps, id);

  t.like(made, { state: 'created', deadLetter: 'fail-order', retryCount: 2, retryLimit: 2 + 12 });
  t.like(made.data, job.data);
  t.is((await lookUp(deps, id)).status, 'PENDING');
});

test('a dead letter from before a retry cannot fail the order', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  const letter = await exhaustRetries(deps, id);
  const dba = await connectDba(t, service);

  await dba.value(RETRY, [id, 'again']);
  const lettersHandled = await drain(deps, 'fail-order');

  t.deepEqual(lettersHandled, []);
  t.is((await jobOf(deps, letter, 'fail-order')).state, 'cancelled');
  t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'retry' });
});

test('retrying an order in its back-off starts it now', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  await deps.boss.fail('process-order', id, { message: 'busy' });
  await deps.boss.update('process-order', undefined, { id, startAfter: 900 });
  const dba = await connectDba(t);

  await dba.value(RETRY, [id, 'it is back']);

  t.true((await jobOf(deps, id)).startAfter <= new Date());
});

test('an order that is CANCELLED, or due already, cannot be retried', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [cancelled, due] = [await user.place(), await user.place()];
  await user.request('PUT', `/orders/${cancelled}/cancellation`);
  const dba = await connectDba(t);

  for (const [id, words] of [
    [cancelled, /is CANCELLED: that is final/],
    [due, /is PENDING and its job is due already/],
  ] as const) {
    const before = await lookUp(deps, id);
    const { code, message } = await dba.refusal(RETRY, [id, 'why not']);
    t.is(code, 'OM006');
    t.regex(message, words);
    t.deepEqual(await lookUp(deps, id), before);
    t.deepEqual(await dba.rows(ACTIONS, [id]), []);
  }
});

test('an order that a living worker is processing cannot be retried', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  await recordRunningBatch(deps, await registerWorker(deps), id);
  const dba = await connectDba(t);

  const { code, message } = await dba.refusal(RETRY, [id, 'impatience']);

  t.is(code, 'OM007');
  t.regex(message, /^a living worker \(.+:4711\) is running job/);
  t.is((await jobOf(deps, id)).state, 'active');
});

test('an order whose dead letter a worker is processing cannot be retried', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, await exhaustRetries(deps, id), 'fail-order');
  const dba = await connectDba(t);

  t.is((await dba.refusal(RETRY, [id, 'again'])).code, 'OM007');
  t.is((await jobOf(deps, id)).state, 'failed');
});
