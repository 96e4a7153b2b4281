import type { ExecutionContext } from 'ava';
import { drain, lookUp, ownService, signUp, test, type Context } from '../support/context.ts';
import { connectDba, failOrder, exhaustRetries, lockRow } from '../support/dba.ts';
import { jobOf } from '../support/orders.ts';

// Each test has a database of its own, because redrive takes all failed jobs of a queue.

const REDRIVE = 'SELECT * FROM ops.redrive($1, $2, $3, $4)';
const ACTIONS = `SELECT who, action, order_id, queue, reason FROM ops.actions WHERE action = 'redrive'`;

test('a dry run shows what a redrive would do, and changes nothing', async (t) => {
  const { service, deps, dba, failed } = await withFailedOrders(t, 2);
  const before = await lookUp(deps, failed[0] ?? '');

  const rows = await dba.rows(`SELECT * FROM ops.redrive('process-order')`);

  t.deepEqual(
    rows.map(({ order_id }) => order_id),
    failed,
  );
  for (const { done, outcome } of rows) {
    t.false(done);
    t.regex(outcome, /^would: order .* was FAILED, is PENDING; attempt 2 can start now$/);
  }
  t.deepEqual(await lookUp(deps, failed[0] ?? ''), before);
  t.deepEqual(await dba.rows(ACTIONS), []);
  t.deepEqual(await drain(service.deps, 'process-order'), []);
});

test('a redrive puts back the given number of failed orders, the oldest first', async (t) => {
  const { deps, dba, failed } = await withFailedOrders(t, 3);

  const rows = await dba.rows(REDRIVE, ['process-order', 2, false, 'warehouse is back']);
  await drain(deps, 'process-order');

  t.deepEqual(
    rows.map(({ order_id, done }) => [order_id, done]),
    failed.slice(0, 2).map((id) => [id, true]),
  );
  const statuses = await Promise.all(failed.map((id) => lookUp(deps, id)));
  t.deepEqual(
    statuses.map(({ status }) => status),
    ['COMPLETED', 'COMPLETED', 'FAILED'],
  );
  const actions = await dba.rows(ACTIONS);
  t.is(actions.length, 2);
  t.like(actions[0], { who: 'oms_dba', queue: 'process-order', reason: 'warehouse is back' });
});

test('a redrive of dead letters puts their jobs back into the original queue', async (t) => {
  const { service, deps, dba } = await withFailedOrders(t, 0);
  const id = await (await signUp(service)).place();
  const letter = await exhaustRetries(deps, id);

  const rows = await dba.rows(REDRIVE, ['fail-order', 10, false, 'too early']);

  t.like(rows[0], { job_id: letter, order_id: id, done: true });
  t.is((await jobOf(deps, id)).state, 'retry');
  t.is((await jobOf(deps, letter, 'fail-order')).state, 'cancelled');
});

test('a redrive leaves out an order that is locked, and continues with the others', async (t) => {
  const { service, deps, dba, failed } = await withFailedOrders(t, 2);
  await lockRow(t, service, 'orders', failed[0] ?? '');

  const rows = await dba.rows(REDRIVE, ['process-order', 10, false, 'again']);

  t.regex(rows[0]?.outcome, /^left alone: .* locked by another transaction/);
  t.true(rows[1]?.done);
  t.is((await lookUp(deps, failed[1] ?? '')).status, 'PENDING');
  t.is((await dba.rows(ACTIONS)).length, 1);
});

test('a failed job without an order starts again with all its retries', async (t) => {
  const { deps, dba } = await withFailedOrders(t, 0);
  const id = crypto.randomUUID();
  await deps.boss.insert('prune', [{ id, data: {}, retryLimit: 0 }]);
  await deps.boss.fail('prune', id, { message: 'no space' });

  const rows = await dba.rows(REDRIVE, ['prune', 10, false, 'disk is bigger']);

  t.like(rows[0], { job_id: id, order_id: null, done: true });
  t.like(await jobOf(deps, id, 'prune'), { state: 'retry', retryLimit: 4 });
  t.like((await dba.rows(ACTIONS))[0], { queue: 'prune', order_id: null });
});

test('a redrive without a reason is recorded as one without a reason', async (t) => {
  const { deps, dba, failed } = await withFailedOrders(t, 1);

  await dba.rows(`SELECT done FROM ops.redrive('process-order', 10, false)`);

  t.is((await lookUp(deps, failed[0] ?? '')).status, 'PENDING');
  t.is((await dba.rows(ACTIONS))[0]?.reason, 'no reason given');
});

test('a redrive of an unknown queue, with a blank reason, or with an invalid limit is refused', async (t) => {
  const { deps, dba, failed } = await withFailedOrders(t, 1);

  for (const [values, code] of [
    [['no-such-queue', 10, true, null], 'OM005'],
    [['process-order', 10, false, '  '], 'OM008'],
    [['process-order', 10, null, 'all'], 'OM008'],
    [['process-order', 0, true, null], 'OM008'],
    [['process-order', 1001, false, 'all'], 'OM008'],
    [['process-order', null, false, 'all'], 'OM008'],
  ] as const) {
    t.is((await dba.refusal(REDRIVE, [...values])).code, code, values.join());
  }
  t.is((await lookUp(deps, failed[0] ?? '')).status, 'FAILED');
});

async function withFailedOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  const user = await signUp(service);
  const failed: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const id = await user.place();
    await failOrder(service.deps, id);
    failed.push(id);
  }
  return { service, deps: service.deps, dba: await connectDba(t, service), failed };
}
