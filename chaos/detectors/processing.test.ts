import { completeOrders } from '../../src/orders/processing.ts';
import { asWorker, lookUp, signUp, test } from '../../test/support/context.ts';
import { connectDba, claimJob, type Dba } from '../../test/support/dba.ts';
import { insertOrders, jobOf } from '../../test/support/orders.ts';
import { dieAt } from './dying.ts';

// Serial, because process_orders processes all due jobs.

/** A session whose statements have a short lock timeout. */
async function connect(t: Parameters<typeof connectDba>[0]): Promise<Dba> {
  const dba = await connectDba(t, t.context, 'postgres');
  await dba.rows(`SET lock_timeout = '3s'`);
  return dba;
}

test.serial('process_orders completes an order and settles its job', async (t) => {
  const { id: userId } = await signUp(t.context);
  const { value } = await connect(t);
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);

  t.deepEqual(await value(`SELECT order_ids FROM process_orders(10, 'host:1')`), [id]);

  t.like(await lookUp(t.context.deps, id), { status: 'COMPLETED', job: 'completed' });
});

for (const table of ['orders', 'pgboss.job']) {
  test.serial(`process_orders skips locked rows of ${table}`, async (t) => {
    const { id: userId } = await signUp(t.context);
    const { rows } = await connect(t);
    const { value } = await connect(t);
    const [id = ''] = await insertOrders(t.context.deps, userId, 1);
    await rows('BEGIN');
    await rows(`SELECT id FROM ${table} WHERE id = $1 FOR UPDATE`, [id]);

    t.deepEqual(await value(`SELECT order_ids FROM process_orders(10, 'host:1')`), []);

    await rows('ROLLBACK');
    t.deepEqual(await value(`SELECT order_ids FROM process_orders(10, 'host:1')`), [id]);
  });
}

test.serial('an order that one worker is processing is not processed by another one', async (t) => {
  const { id: userId } = await signUp(t.context);
  const one = await connect(t);
  const other = await connect(t);
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);
  await one.rows('BEGIN');

  t.deepEqual(await one.value(`SELECT order_ids FROM process_orders(10, 'host:1')`), [id]);
  t.deepEqual(await other.value(`SELECT order_ids FROM process_orders(10, 'host:2')`), []);

  await one.rows('COMMIT');
});

test.serial(
  'a claimed order and its job end together, even if the worker crashes after the commit',
  async (t) => {
    const { deps } = t.context;
    const { id: userId } = await signUp(t.context);
    const [id = ''] = await insertOrders(deps, userId, 1);
    await claimJob(deps, id);
    const job = { ...(await jobOf(deps, id)), signal: new AbortController().signal };

    await dieAt('after-work-commit', () => completeOrders(asWorker(deps), [job]));

    t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
  },
);
