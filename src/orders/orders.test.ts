import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { drain, lookUp, signUp, test } from '../testing/context.ts';

test('a placed order is completed by the worker, and every step is on record', async (t) => {
  const user = await signUp(t.context);

  const placed = await user.request('POST', '/orders', { product_name: 'Kettle', amount: 34.9 });
  t.is(placed.status, 201);
  t.is(placed.headers.get('location'), `/orders/${placed.body.id}`);
  t.like(placed.body, { status: 'PENDING', amount: '34.90', currency: 'USD', user_id: user.id });
  await drain(t.context.deps, 'process-order');

  const { body } = await user.request('GET', `/orders/${placed.body.id}/events`);
  t.deepEqual(
    body.events.map(({ version, from_status, to_status }: Record<string, unknown>) => [
      version,
      from_status,
      to_status,
    ]),
    [
      [1, null, 'PENDING'],
      [2, 'PENDING', 'PROCESSING'],
      [3, 'PROCESSING', 'COMPLETED'],
    ],
  );
  t.is(body.events[0].actor, `user:${user.id}`);
  t.regex(body.events[2].actor, /^worker:/);
  t.deepEqual(await lookUp(t.context.deps, placed.body.id), {
    status: 'COMPLETED',
    version: 3,
    job: 'completed',
  });
});

test('an order and its job are committed by the same transaction', async (t) => {
  const user = await signUp(t.context);

  const id = await user.place();

  const Row = z.object({ same: z.boolean() });
  const { same } = await t.context.deps.pool.one(sql.type(Row)`
    SELECT o.xmin = j.xmin AS same
    FROM orders AS o JOIN pgboss.job AS j ON j.id = o.id
    WHERE o.id = ${id}
  `);
  t.true(same);
});

test('an order of somebody else is as absent as one that never was', async (t) => {
  const owner = await signUp(t.context);
  const stranger = await signUp(t.context);
  const id = await owner.place();

  for (const [method, path] of [
    ['GET', `/orders/${id}`],
    ['GET', `/orders/${id}/events`],
    ['PUT', `/orders/${id}/cancellation`],
    ['PATCH', `/orders/${id}/cancel`],
    ['GET', `/orders/${randomUUID()}`],
  ] as const) {
    const reply = await stranger.request(method, path);
    t.is(reply.status, 404, `${method} ${path}`);
    t.is(reply.body.type, '/problems/order-not-found');
  }
});
