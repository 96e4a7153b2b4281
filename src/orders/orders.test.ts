import { randomUUID } from 'node:crypto';
import { drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { eventsOf } from '../../test/support/orders.ts';

// The tests that drain a queue are serial: each claims all due jobs in this file's database.

test.serial('a placed order is completed by the worker, with an event for each step', async (t) => {
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
  t.is(body.events[0].actor, 'you');
  t.is(body.events[2].actor, 'system');
  t.deepEqual(await lookUp(t.context.deps, placed.body.id), {
    status: 'COMPLETED',
    version: 3,
    job: 'completed',
  });
});

test.serial(
  'an order has the same members in each reply, and only those that changed differ',
  async (t) => {
    const user = await signUp(t.context);

    const { body: placed } = await user.request('POST', '/orders', {
      product_name: 'Teapot',
      amount: '12.5',
      currency: 'EUR',
      metadata: { gift: true },
    });
    await drain(t.context.deps, 'process-order');
    const found = await user.request('GET', `/orders/${placed.id}`);
    const listed = await user.request('GET', '/orders');

    t.deepEqual(Object.keys(placed).sort(), [
      'amount',
      'created_at',
      'currency',
      'id',
      'metadata',
      'product_name',
      'status',
      'updated_at',
      'user_id',
      'version',
    ]);
    t.deepEqual(found.body, {
      ...placed,
      status: 'COMPLETED',
      version: 3,
      updated_at: found.body.updated_at,
    });
    t.true(found.body.updated_at > placed.updated_at);
    t.deepEqual(listed.body.orders, [found.body]);
  },
);

test('an order is placed at the path of the original API', async (t) => {
  const user = await signUp(t.context);

  const placed = await user.request('POST', '/orders/create', { product_name: 'Mug', amount: 99 });
  const found = await user.request('GET', `/orders/${placed.body.id}`);

  t.is(placed.status, 201);
  t.is(placed.headers.get('location'), `/orders/${placed.body.id}`);
  t.like(placed.body, { product_name: 'Mug', amount: '99.00', currency: 'USD', metadata: {} });
  t.is(found.status, 200);
});

test('an event has its version, statuses, actor, reason and time', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  const { status, body } = await user.request('GET', `/orders/${id}/events`);

  t.is(status, 200);
  t.deepEqual(body.events[0], {
    version: 1,
    from_status: null,
    to_status: 'PENDING',
    actor: 'you',
    reason_code: null,
    reason: null,
    at: body.events[0].at,
  });
  t.regex(body.events[0].at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test.serial(
  'simultaneous orders of 10 users are all completed, each with its own events',
  async (t) => {
    const users = await Promise.all(Array.from({ length: 10 }, () => signUp(t.context)));

    const ids = await Promise.all(users.flatMap((user) => [user.place(), user.place()]));
    await drain(t.context.deps, 'process-order');

    for (const [index, id] of ids.entries()) {
      const events = await eventsOf(t.context.deps, id);
      t.is(events[0]?.actor, `user:${users[Math.floor(index / 2)]?.id}`);
      t.deepEqual(
        events.map(({ to_status }) => to_status),
        ['PENDING', 'PROCESSING', 'COMPLETED'],
      );
    }
  },
);

test('an order of another user is not found, like an order that does not exist', async (t) => {
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
