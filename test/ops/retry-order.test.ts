import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { asWorker, drain, lookUp, ownService, signUp, test } from '../support/context.ts';
import { ClaimLost } from '../../src/queue/boss.ts';
import { connectDba, failOrder, giveUp, hold, lock, registerWorker, take } from '../support/dba.ts';
import { createSettlement } from '../../src/orders/settlement.ts';
import { eventsOf, jobOf } from '../support/orders.ts';

// No worker runs in this file's database. Each test uses its own orders.

const RETRY = 'SELECT ops.retry_order($1, $2)';
const ACTIONS = `
  SELECT who, action, reason, before -> 'order' ->> 'status' AS before, after -> 'order' ->> 'status' AS after
  FROM ops.actions WHERE order_id = $1`;

test('a FAILED order that an operator tries again is processed, and the trail says by whose hand', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  await failOrder(deps, id);
  const dba = await connectDba(t, service);

  const said = await dba.value(RETRY, [id, 'ticket 4711']);
  const waiting = await jobOf(deps, id);
  await drain(deps, 'process-order');

  t.is(said, `order ${id} was FAILED, is PENDING; attempt 2 can start now`);
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

test('a worker that still has an attempt in hand cannot commit it after an operator’s retry', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, id);
  const zombie = await jobOf(deps, id);
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 minute' WHERE id = ${id}
  `);
  const dba = await connectDba(t);

  await dba.value(RETRY, [id, 'worker hangs']);
  await take(deps, id);

  const settlement = createSettlement(asWorker(deps));
  await t.throwsAsync(settlement.end(zombie, { status: 'COMPLETED' }), { instanceOf: ClaimLost });
  t.is((await lookUp(deps, id)).status, 'PENDING');
  t.is((await jobOf(deps, id)).retryCount, zombie.retryCount + 1);
});

test('an order whose job is gone gets one, whose attempts go on counting', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, id);
  await take(deps, id);
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

test('a dead letter that nobody has dealt with cannot fail the order after its retry', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  const letter = await giveUp(deps, id);
  const dba = await connectDba(t, service);

  await dba.value(RETRY, [id, 'again']);
  const lettersHandled = await drain(deps, 'fail-order');

  t.deepEqual(lettersHandled, []);
  t.is((await jobOf(deps, letter, 'fail-order')).state, 'cancelled');
  t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'retry' });
});

test('an order that waits for its back-off is tried now', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, id);
  await deps.boss.fail('process-order', id, { message: 'busy' });
  await deps.boss.update('process-order', undefined, { id, startAfter: 900 });
  const dba = await connectDba(t);

  await dba.value(RETRY, [id, 'it is back']);

  t.true((await jobOf(deps, id)).startAfter <= new Date());
});

test('an order that is over, or due already, is not retried', async (t) => {
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

test('an order that a living worker has in hand is not retried', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, id);
  await hold(deps, await registerWorker(deps), id);
  const dba = await connectDba(t);

  const { code, message } = await dba.refusal(RETRY, [id, 'impatience']);

  t.is(code, 'OM007');
  t.regex(message, /^a living worker \(.+:4711\) is running job/);
  t.is((await jobOf(deps, id)).state, 'active');
});

test('an order that a worker is about to set FAILED is not retried', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await take(deps, await giveUp(deps, id), 'fail-order');
  const dba = await connectDba(t);

  t.is((await dba.refusal(RETRY, [id, 'again'])).code, 'OM007');
  t.is((await jobOf(deps, id)).state, 'failed');
});

for (const action of ['retry_order', 'cancel_order']) {
  const CALL = `SELECT ops.${action}($1, $2)`;

  test(`ops.${action} does not know an order that is not there`, async (t) => {
    const dba = await connectDba(t);

    t.is((await dba.refusal(CALL, [randomUUID(), 'typo'])).code, 'OM005');
  });

  for (const table of ['orders', 'pgboss.job'] as const) {
    test(`ops.${action} does not wait for a lock in ${table}`, async (t) => {
      const { deps } = t.context;
      const id = await (await signUp(t.context)).place();
      await lock(t, t.context, table, id);
      const dba = await connectDba(t);

      const { code, message } = await dba.refusal(CALL, [id, 'now']);

      t.is(code, 'OM007');
      t.regex(message, /locked by another transaction/);
      t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'created' });
      t.deepEqual(await dba.rows(ACTIONS, [id]), []);
    });
  }

  for (const reason of [null, '', ' \n\t']) {
    test(`ops.${action} wants a reason, and ${JSON.stringify(reason)} is none`, async (t) => {
      const { deps } = t.context;
      const id = await (await signUp(t.context)).place();
      const dba = await connectDba(t);

      t.is((await dba.refusal(CALL, [id, reason])).code, 'OM008');
      t.is((await lookUp(deps, id)).version, 1);
    });
  }
}

test('an order that an operator cancels is CANCELLED with its job, on the record', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const dba = await connectDba(t);

  const said = await dba.value('SELECT ops.cancel_order($1, $2)', [id, 'the customer called']);

  t.is(said, `order ${id} is CANCELLED`);
  t.deepEqual(await lookUp(deps, id), { status: 'CANCELLED', version: 2, job: 'cancelled' });
  t.like((await eventsOf(deps, id))[1], { actor: 'role:oms_dba', reason: 'the customer called' });
  t.like((await dba.rows(ACTIONS, [id]))[0], { action: 'cancel_order', after: 'CANCELLED' });
});

test('an order that is FAILED or CANCELLED already cannot be cancelled', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [failed, cancelled] = [await user.place(), await user.place()];
  await failOrder(deps, failed);
  await user.request('PUT', `/orders/${cancelled}/cancellation`);
  const dba = await connectDba(t);

  for (const id of [failed, cancelled]) {
    const before = await lookUp(deps, id);
    t.is((await dba.refusal('SELECT ops.cancel_order($1, $2)', [id, 'late'])).code, 'OM006');
    t.deepEqual(await lookUp(deps, id), before);
  }
});

test('the reason of an operator’s action does not stand on what the transaction does next', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [first, second] = [await user.place(), await user.place()];
  const admin = await connectDba(t, t.context, 'postgres');

  await admin.rows('BEGIN');
  await admin.rows('SELECT ops.cancel_order($1, $2)', [first, 'ticket 1']);
  await admin.rows(`UPDATE orders SET status = 'CANCELLED' WHERE id = $1`, [second]);
  await admin.rows('COMMIT');

  t.like((await eventsOf(deps, first))[1], { actor: 'role:postgres', reason: 'ticket 1' });
  t.like((await eventsOf(deps, second))[1], { reason: null });
});

test('what operators did cannot be changed or removed, not even by the owner', async (t) => {
  const id = await (await signUp(t.context)).place();
  const dba = await connectDba(t);
  const admin = await connectDba(t, t.context, 'postgres');
  await dba.value('SELECT ops.cancel_order($1, $2)', [id, 'on record']);

  for (const statement of [
    `UPDATE operator_actions SET reason = 'other'`,
    'DELETE FROM operator_actions',
    'TRUNCATE operator_actions',
  ]) {
    t.is((await admin.refusal(statement)).code, 'OM002', statement);
  }
  t.is((await dba.refusal('DELETE FROM public.operator_actions')).code, '42501');
});
