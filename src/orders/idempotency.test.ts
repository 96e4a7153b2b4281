import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import {
  drain,
  lookUp,
  ownService,
  signUp,
  test,
  withSettings,
} from '../../test/support/context.ts';
import { keyedRequest, keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { eventsOf, preparedOrder } from '../../test/support/orders.ts';
import { createPlacement, placeOrders } from './placement.ts';

const PLACE = ['POST', '/orders'] as const;
const KETTLE = {
  product_name: 'Kettle',
  amount: '34.90',
  metadata: { b: 1, a: { d: [1, 2], c: 'é' } },
};
const TEAPOT = { product_name: 'Teapot', amount: '12.00' };

for (const path of ['/orders', '/orders/create']) {
  test(`a retry of POST ${path} gets the first reply again, byte for byte, and places nothing`, async (t) => {
    const { origin, deps } = t.context;
    const user = await signUp(t.context);
    const key = randomUUID();

    const first = await sendKeyed(user, origin, ['POST', path], key, KETTLE);
    const again = await sendKeyed(user, origin, ['POST', path], key, KETTLE);

    t.deepEqual([first.status, first.replayed], [201, null]);
    t.deepEqual([again.status, again.replayed], [201, 'true']);
    t.is(again.text, first.text);
    t.is(again.location, `/orders/${JSON.parse(first.text).id}`);
    t.is(again.location, first.location);
    t.is(again.type, first.type);
    t.is(await ordersOf(deps, user.id), 1);
  });
}

for (const [method, path] of [
  ['PUT', 'cancellation'],
  ['PATCH', 'cancel'],
] as const) {
  test(`a retry of ${method} /orders/{id}/${path} gets the first reply again`, async (t) => {
    const { origin, deps } = t.context;
    const user = await signUp(t.context);
    const id = await user.place();
    const cancel = [method, `/orders/${id}/${path}`] as const;

    const first = await sendKeyed(user, origin, cancel, 'k');
    const again = await sendKeyed(user, origin, cancel, 'k');

    t.deepEqual([first.status, first.replayed], [200, null]);
    t.deepEqual([again.status, again.replayed], [200, 'true']);
    t.is(again.text, first.text);
    t.like(JSON.parse(again.text), { id, status: 'CANCELLED', version: 2 });
    t.is((await eventsOf(deps, id)).length, 2);
  });
}

test('a reply is the one of then, whatever has become of the order since', async (t) => {
  const { origin, deps } = await ownService(t);
  const user = await signUp({ deps, origin });
  const first = await sendKeyed(user, origin, PLACE, 'k', KETTLE);
  const { id } = JSON.parse(first.text);

  await drain(deps, 'process-order');
  const again = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  t.is((await lookUp(deps, id)).status, 'COMPLETED');
  t.is(again.text, first.text);
  t.is(JSON.parse(again.text).status, 'PENDING');
});

test('without a key, each request places an order', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);

  const replies = [
    await sendKeyed(user, origin, PLACE, null, KETTLE),
    await sendKeyed(user, origin, PLACE, null, KETTLE),
  ];

  t.deepEqual(
    replies.map(({ status, replayed }) => [status, replayed]),
    [
      [201, null],
      [201, null],
    ],
  );
  t.is(await ordersOf(deps, user.id), 2);
  t.deepEqual(await keysOf(deps, user.id), []);
});

test('a key in quotes and the same key without are one key', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);

  const bare = await sendKeyed(user, origin, PLACE, 'one-key', KETTLE);
  const quoted = await sendKeyed(user, origin, PLACE, '"one-key"', KETTLE);

  t.is(quoted.text, bare.text);
  t.is(quoted.replayed, 'true');
  t.deepEqual(await keysOf(deps, user.id), ['one-key']);
});

test('the same body in another order and with other white space is the same request', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);
  await sendKeyed(
    user,
    origin,
    PLACE,
    'k',
    '{"product_name":"Kettle","amount":34.9,"metadata":{"a":1,"b":2}}',
  );

  const again = await sendKeyed(
    user,
    origin,
    PLACE,
    'k',
    '{ "metadata": {"b": 2, "a": 1}, "amount": 34.90, "product_name": "Kettle" }',
  );

  t.deepEqual([again.status, again.replayed], [201, 'true']);
  t.is(await ordersOf(deps, user.id), 1);
});

test('a key that comes back with another body is refused, and its first reply stays', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);
  const first = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  const other = await sendKeyed(user, origin, PLACE, 'k', TEAPOT);
  const spelledOut = await sendKeyed(user, origin, PLACE, 'k', { ...KETTLE, currency: 'USD' });
  const again = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  for (const refused of [other, spelledOut]) {
    t.deepEqual([refused.status, refused.replayed, refused.location], [422, null, null]);
    t.like(JSON.parse(refused.text), { type: '/problems/idempotency-key-reused', status: 422 });
  }
  t.is(again.text, first.text);
  t.is(await ordersOf(deps, user.id), 1);
});

test('the same key of another user, at another path or by another method is another key', async (t) => {
  const { origin, deps } = t.context;
  const [ada, bob] = await Promise.all([signUp(t.context), signUp(t.context)]);
  const [one, two] = await Promise.all([ada.place(), ada.place()]);

  const replies = [
    await sendKeyed(ada, origin, PLACE, 'k', KETTLE),
    await sendKeyed(bob, origin, PLACE, 'k', TEAPOT),
    await sendKeyed(ada, origin, ['POST', '/orders/create'], 'k', TEAPOT),
    await sendKeyed(ada, origin, ['PUT', `/orders/${one}/cancellation`], 'k'),
    await sendKeyed(ada, origin, ['PUT', `/orders/${two}/cancellation`], 'k'),
    await sendKeyed(ada, origin, ['PATCH', `/orders/${two}/cancel`], 'k'),
  ];

  t.deepEqual(
    replies.map(({ status, replayed }) => [status, replayed]),
    [201, 201, 201, 200, 200, 200].map((status) => [status, null]),
  );
  t.deepEqual([await ordersOf(deps, ada.id), await ordersOf(deps, bob.id)], [4, 1]);
  t.deepEqual(await keysOf(deps, ada.id), ['k', 'k', 'k', 'k', 'k']);
  t.deepEqual(await keysOf(deps, bob.id), ['k']);
});

test('a key that is sent twice counts once; two keys are refused', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);
  const post = (...keys: string[]) =>
    new Promise<number>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${user.token}`,
        'content-type': 'application/json',
        'idempotency-key': keys,
      };
      request(`${origin}/orders`, { method: 'POST', headers, agent: false }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode ?? 0));
      })
        .once('error', reject)
        .end(JSON.stringify(KETTLE));
    });

  t.is(await post('a', 'b'), 400);
  t.is(await ordersOf(deps, user.id), 0);
  t.is(await post('a', '"a"'), 201);
  t.deepEqual(await keysOf(deps, user.id), ['a']);
});

test('a request that was refused leaves its key free', async (t) => {
  const { origin, deps } = t.context;
  const [user, other] = await Promise.all([signUp(t.context), signUp(t.context)]);
  const [id, foreign] = await Promise.all([user.place(), other.place()]);
  const cancel = ['PUT', `/orders/${id}/cancellation`] as const;
  await move(deps, id, 'PROCESSING');

  const invalid = await sendKeyed(user, origin, PLACE, 'k', { ...KETTLE, amount: -1 });
  const unreadable = await sendKeyed(user, origin, PLACE, 'k', '{');
  const notFound = await sendKeyed(user, origin, ['PUT', `/orders/${foreign}/cancellation`], 'k');
  const notCancellable = await sendKeyed(user, origin, cancel, 'k');
  const stored = await keysOf(deps, user.id);
  await move(deps, id, 'PENDING');
  const placed = await sendKeyed(user, origin, PLACE, 'k', KETTLE);
  const cancelled = await sendKeyed(user, origin, cancel, 'k');

  t.deepEqual(
    [invalid, unreadable, notFound, notCancellable].map(({ status }) => status),
    [422, 400, 404, 409],
  );
  t.like(JSON.parse(notCancellable.text), { type: '/problems/order-not-cancellable' });
  t.deepEqual(stored, []);
  t.deepEqual([placed.status, placed.replayed], [201, null]);
  t.deepEqual([cancelled.status, cancelled.replayed], [200, null]);
});

test('a request over the limit stores nothing; a retry of one under it counts too', async (t) => {
  const service = await withSettings(t, { RATE_LIMIT_CREATE: '2' });
  const user = await signUp(service);
  const attempt = (key: string) => sendKeyed(user, service.origin, PLACE, key, KETTLE);

  const replies = [await attempt('a'), await attempt('a'), await attempt('a'), await attempt('b')];

  t.deepEqual(
    replies.map(({ status }) => status),
    [201, 201, 429, 429],
  );
  t.deepEqual(await keysOf(service.deps, user.id), ['a']);
});

test('a transaction that cannot commit leaves no key, and the retry places the order', async (t) => {
  const service = await ownService(t); // making a trigger locks the table, and no other test waits for it here
  const { origin, deps } = service;
  const user = await signUp(service);
  await deps.pool.query(sql.unsafe`
    CREATE FUNCTION refuse_doomed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused at commit'; END $$
  `);
  await deps.pool.query(sql.unsafe`
    CREATE CONSTRAINT TRIGGER orders_99_refuse_doomed AFTER INSERT ON orders
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN (NEW.product_name = 'Doomed') EXECUTE FUNCTION refuse_doomed()
  `);
  const doomed = { ...KETTLE, product_name: 'Doomed' };

  const failed = await sendKeyed(user, origin, PLACE, 'k', doomed);
  const keys = await keysOf(deps, user.id);
  await deps.pool.query(sql.unsafe`DROP TRIGGER orders_99_refuse_doomed ON orders`);
  const again = await sendKeyed(user, origin, PLACE, 'k', doomed);

  t.is(failed.status, 500);
  t.deepEqual(keys, []);
  t.deepEqual([again.status, again.replayed], [201, null]);
  t.is(await ordersOf(deps, user.id), 1);
});

test('key, order and job name one transaction', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);

  await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  const Row = z.object({ same: z.boolean(), hours: z.number() });
  const { same, hours } = await deps.pool.one(sql.type(Row)`
    SELECT
      k.xact_id = o.xact_id AND k.xact_id::text = j.data ->> 'xact_id' AND k.xmin = o.xmin AS same,
      extract(epoch FROM k.expires_at - k.created_at)::integer / 3600 AS hours
    FROM idempotency_keys AS k
    JOIN orders AS o ON o.id = k.order_id
    JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
    WHERE k.user_id = ${user.id}
  `);
  t.true(same);
  t.is(hours, 24);
});

test('orders that are placed together each get the reply of their own key', async (t) => {
  const { deps } = t.context;
  const [ada, bob] = await Promise.all([signUp(t.context), signUp(t.context)]);
  const prepared = [ada, bob, ada, ada, bob, ada].map(({ id }) => preparedOrder(id));
  const orders = prepared.toReversed(); // the order of the requests decides, not the order of the ids
  const earlier = createPlacement(preparedOrder(ada.id), keyedRequest(ada.id, 'earlier'));
  await placeOrders(deps, [earlier]);
  const requests = [
    keyedRequest(ada.id, 'new'),
    keyedRequest(bob.id, 'new'),
    keyedRequest(ada.id, 'new'),
    keyedRequest(ada.id, 'earlier'),
    undefined,
    keyedRequest(ada.id, 'earlier', 'another body'),
  ];

  const outcomes = await placeOrders(
    deps,
    orders.map((order, index) => createPlacement(order, requests[index])),
  );

  t.deepEqual(
    outcomes.map((outcome) => (outcome instanceof Problem ? outcome.slug : outcome.replayed)),
    [false, false, 'idempotency-key-in-use', true, false, 'idempotency-key-reused'],
  );
  t.deepEqual([await ordersOf(deps, ada.id), await ordersOf(deps, bob.id)], [2, 2]);
  t.deepEqual(await keysOf(deps, ada.id), ['earlier', 'new']);
  t.deepEqual(await keysOf(deps, bob.id), ['new']);
});

async function move({ pool }: Deps, id: string, status: string): Promise<void> {
  await pool.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
}
