import { sql } from 'slonik';
import { claim, drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { beforeStatus, REFUSE } from '../../test/support/obstacles.ts';
import { deleteJobs, jobOf } from '../../test/support/orders.ts';
import { runClaimedBatch } from '../../test/support/workers.ts';

// The order, its job or the worker changes before or during the call of the external step.
//
// Every test is serial: each claims all due jobs in this file's database.

test.serial(
  'when another attempt takes the job over during a call, the call does not complete the order',
  async (t) => {
    const { url, calls } = await openFulfilment(t, async (response, { headers }) => {
      if (calls.length === 1) {
        const id = String(headers['idempotency-key']);
        await t.context.deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
        taken.push(...(await claim(t.context.deps, 'process-order', { early: true })));
      }
      response.end();
    });
    const taken: Awaited<ReturnType<typeof claim>> = [];
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();

    const slow = await drain(deps, 'process-order');
    const between = await lookUp(deps, id);
    await runClaimedBatch(deps, 'process-order', taken);

    t.deepEqual(slow, ['failed']);
    t.deepEqual(between, { status: 'PROCESSING', version: 2, job: 'active' });
    t.is(taken[0]?.retryCount, 1);
    t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
    t.is(calls.length, 2);
  },
);

for (const code of [400, 503]) {
  test.serial(
    `when another attempt takes the job over during a call, an answer ${code} changes nothing`,
    async (t) => {
      const taken: Awaited<ReturnType<typeof claim>> = [];
      const { url } = await openFulfilment(t, async (response, { headers }) => {
        const id = String(headers['idempotency-key']);
        await t.context.deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
        taken.push(...(await claim(t.context.deps, 'process-order', { early: true })));
        response.writeHead(code, { 'retry-after': '1800' }).end();
      });
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();

      await drain(deps, 'process-order');

      t.is(taken.length, 1);
      t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'active' });
      t.true((await jobOf(deps, id)).startAfter.getTime() < Date.now() + 60_000);
    },
  );
}

test.serial(
  'an order that is cancelled after its claim is not sent, and another order is',
  async (t) => {
    const { url, calls } = await openFulfilment(t, status(200));
    const { deps } = await withFulfilment(t, url);
    const user = await signUp(t.context);
    const [cancelled, neighbour] = [await user.place(), await user.place()];
    const jobs = await claim(deps, 'process-order');

    await user.request('PUT', `/orders/${cancelled}/cancellation`);
    await runClaimedBatch(deps, 'process-order', jobs);

    t.deepEqual(
      calls.map(({ headers }) => headers['idempotency-key']),
      [neighbour],
    );
    t.deepEqual(await lookUp(deps, cancelled), {
      status: 'CANCELLED',
      version: 2,
      job: 'cancelled',
    });
    t.is((await lookUp(deps, neighbour)).status, 'COMPLETED');
  },
);

test.serial('an order that is refused does not affect the others', async (t) => {
  const { url } = await openFulfilment(t, (response, { body }) => {
    response.writeHead(body.includes('Broken') ? 422 : 200).end();
  });
  const { deps } = await withFulfilment(t, url);
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Broken', amount: 1 })];
  ids.push(await user.place());

  await drain(deps, 'process-order');

  const ended = await Promise.all(ids.map(async (id) => (await lookUp(deps, id)).status));
  t.deepEqual(ended, ['COMPLETED', 'FAILED', 'COMPLETED']);
});

test.serial('an order that cannot be set to PROCESSING does not affect the others', async (t) => {
  const { url, calls } = await openFulfilment(t, status(200));
  const { deps } = await withFulfilment(t, url);
  await beforeStatus(deps, 'Poison', 'PROCESSING', REFUSE);
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Poison', amount: 1 })];
  ids.push(await user.place());

  await drain(deps, 'process-order');

  const now = await Promise.all(ids.map((id) => lookUp(deps, id)));
  t.deepEqual(
    now.map(({ status: reached, job }) => [reached, job]),
    [
      ['COMPLETED', 'completed'],
      ['PENDING', 'retry'],
      ['COMPLETED', 'completed'],
    ],
  );
  t.is(calls.length, 2);
});

test.serial(
  'a worker that is stopping aborts its call, and the order stays PROCESSING',
  async (t) => {
    const stopping = new AbortController();
    const { url } = await openFulfilment(t, () => stopping.abort());
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();
    const jobs = await claim(deps, 'process-order');
    for (const job of jobs) job.signal = stopping.signal;

    const results = await runClaimedBatch(deps, 'process-order', jobs);

    t.is(results[0]?.status, 'failed');
    t.notRegex(JSON.stringify(results[0]?.output), /timeout/);
    t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'active' });
  },
);

test.serial('an order that ends by other means during a call stays unchanged', async (t) => {
  const { url } = await openFulfilment(t, async (response, { headers }) => {
    await t.context.deps.pool.query(sql.unsafe`
      UPDATE orders SET status = 'FAILED' WHERE id = ${String(headers['idempotency-key'])}
    `);
    response.end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(outcomes, ['completed']);
  t.deepEqual(await lookUp(deps, id), { status: 'FAILED', version: 3, job: 'completed' });
});

test.serial('an order that an operator sets back during a call is processed again', async (t) => {
  const { url, calls } = await openFulfilment(t, async (response, { headers }) => {
    const orderId = String(headers['idempotency-key']);
    if (calls.length === 1) {
      const { pool } = t.context.deps;
      await pool.query(sql.unsafe`
        UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id = ${orderId}
      `);
      await pool.query(
        sql.unsafe`SELECT ops.retry_order(${orderId}, 'its worker has gone silent')`,
      );
    }
    response.end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  const first = await drain(deps, 'process-order');
  const second = await drain(deps, 'process-order', { early: true });

  t.deepEqual([first, second], [['failed'], ['completed']]);
  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
  await deleteJobs(t.context.deps, 'fail-order');
});
