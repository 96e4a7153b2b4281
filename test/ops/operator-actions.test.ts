import { randomUUID } from 'node:crypto';
import { lookUp, signUp, test } from '../support/context.ts';
import { connectDba, failOrder, lockRow } from '../support/dba.ts';
import { eventsOf } from '../support/orders.ts';

// Tests of ops.cancel_order, and of rules that ops.retry_order has too. No worker runs in this file's database.

const ACTIONS = `
  SELECT action, after -> 'order' ->> 'status' AS status FROM ops.actions WHERE order_id = $1`;

for (const action of ['retry_order', 'cancel_order']) {
  const CALL = `SELECT ops.${action}($1, $2)`;

  test(`ops.${action} refuses an unknown order`, async (t) => {
    const dba = await connectDba(t);

    t.is((await dba.refusal(CALL, [randomUUID(), 'typo'])).code, 'OM005');
  });

  for (const table of ['orders', 'pgboss.job'] as const) {
    test(`ops.${action} does not wait for a lock in ${table}`, async (t) => {
      const { deps } = t.context;
      const id = await (await signUp(t.context)).place();
      await lockRow(t, t.context, table, id);
      const dba = await connectDba(t);

      const { code, message } = await dba.refusal(CALL, [id, 'now']);

      t.is(code, 'OM007');
      t.regex(message, /locked by another transaction/);
      t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'created' });
      t.deepEqual(await dba.rows(ACTIONS, [id]), []);
    });
  }

  for (const reason of [null, '', ' \n\t']) {
    test(`ops.${action} requires a reason, and refuses ${JSON.stringify(reason)}`, async (t) => {
      const { deps } = t.context;
      const id = await (await signUp(t.context)).place();
      const dba = await connectDba(t);

      t.is((await dba.refusal(CALL, [id, reason])).code, 'OM008');
      t.is((await lookUp(deps, id)).version, 1);
    });
  }
}

test('when an operator cancels an order, its job is cancelled too, and the action is recorded', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const dba = await connectDba(t);

  const message = await dba.value('SELECT ops.cancel_order($1, $2)', [id, 'the customer called']);

  t.is(message, `order ${id} is CANCELLED`);
  t.deepEqual(await lookUp(deps, id), { status: 'CANCELLED', version: 2, job: 'cancelled' });
  t.like((await eventsOf(deps, id))[1], { actor: 'role:oms_dba', reason: 'the customer called' });
  t.like((await dba.rows(ACTIONS, [id]))[0], { action: 'cancel_order', status: 'CANCELLED' });
});

test('a FAILED or CANCELLED order cannot be cancelled', async (t) => {
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

test('the reason of an action is not recorded for later changes of the same transaction', async (t) => {
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

test('the record of actions cannot be changed or deleted, not even by a superuser', async (t) => {
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
