import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { lookUp, signUp, test } from '../../test/support/context.ts';
import { isAwaited } from '../../test/support/lock-waits.ts';
import { eventsOf } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';

// No worker runs in this file's database. So only a test changes the status of its orders.

test('a customer cancels a PENDING order, and its job is cancelled too', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  const { status, body } = await user.request('PUT', `/orders/${id}/cancellation`);

  t.is(status, 200);
  t.like(body, { id, status: 'CANCELLED', version: 2 });
  t.deepEqual(await lookUp(t.context.deps, id), {
    status: 'CANCELLED',
    version: 2,
    job: 'cancelled',
  });
  t.deepEqual((await eventsOf(t.context.deps, id)).at(-1), {
    to_status: 'CANCELLED',
    actor: `user:${user.id}`,
    reason: null,
  });
});

test('an order and its job are cancelled by the same transaction', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  await user.request('PUT', `/orders/${id}/cancellation`);

  const Row = z.object({ same: z.boolean() });
  const { same } = await t.context.deps.pool.one(sql.type(Row)`
    SELECT o.xmin = j.xmin AS same
    FROM orders AS o JOIN pgboss.job AS j ON j.id = o.id
    WHERE o.id = ${id}
  `);
  t.true(same);
});

test('cancelling an order again succeeds, and changes nothing', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();
  const first = await user.request('PUT', `/orders/${id}/cancellation`);

  const again = await user.request('PUT', `/orders/${id}/cancellation`);
  const byAlias = await user.request('PATCH', `/orders/${id}/cancel`);

  t.deepEqual([again.status, byAlias.status], [200, 200]);
  t.deepEqual(again.body, first.body);
  t.deepEqual(byAlias.body, first.body);
  t.is((await eventsOf(t.context.deps, id)).length, 2);
});

test('of 8 simultaneous cancellations, all succeed, and one changes the order', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  const replies = await Promise.all(
    Array.from({ length: 8 }, () => user.request('PUT', `/orders/${id}/cancellation`)),
  );

  t.deepEqual(
    replies.map(({ status }) => status),
    Array.from({ length: 8 }, () => 200),
  );
  t.is((await eventsOf(t.context.deps, id)).length, 2);
});

test('an order is cancelled at the path of the original API', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  const { status, body } = await user.request('PATCH', `/orders/${id}/cancel`);

  t.is(status, 200);
  t.like(body, { id, status: 'CANCELLED' });
});

for (const [reached, steps] of [
  ['PROCESSING', ['PROCESSING']],
  ['COMPLETED', ['PROCESSING', 'COMPLETED']],
  ['FAILED', ['PROCESSING', 'FAILED']],
] as const) {
  test(`a customer cannot cancel an order that is ${reached}`, async (t) => {
    const user = await signUp(t.context);
    const id = await user.place();
    for (const status of steps) await move(t.context.deps, id, status);

    for (const [method, path] of [
      ['PUT', `/orders/${id}/cancellation`],
      ['PATCH', `/orders/${id}/cancel`],
    ] as const) {
      const reply = await user.request(method, path);
      t.is(reply.status, 409);
      t.is(reply.type, 'application/problem+json');
      t.like(reply.body, {
        type: '/problems/order-not-cancellable',
        detail: `The order is already ${reached}.`,
      });
    }
    t.like(await lookUp(t.context.deps, id), { status: reached, job: 'created' });
  });
}

test('a cancellation waits while the status of the order changes, and is refused with the new status', async (t) => {
  const { pool } = t.context.deps;
  const user = await signUp(t.context);
  const id = await user.place();

  const cancelling = await pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);
    const request = user.request('PUT', `/orders/${id}/cancellation`);
    await until('the cancellation to wait', () => isAwaited(tx));
    return { request };
  });
  const reply = await cancelling.request;

  t.is(reply.status, 409);
  t.like(reply.body, {
    type: '/problems/order-not-cancellable',
    detail: 'The order is already PROCESSING.',
  });
});

test('an order that an operator has set back to PENDING can be cancelled', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();
  for (const status of ['PROCESSING', 'PENDING']) await move(t.context.deps, id, status);

  const { status } = await user.request('PUT', `/orders/${id}/cancellation`);

  t.is(status, 200);
  t.like(await lookUp(t.context.deps, id), { status: 'CANCELLED', job: 'cancelled' });
});

async function move({ pool }: Deps, id: string, status: string): Promise<void> {
  await pool.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
}
