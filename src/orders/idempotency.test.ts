import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { drain, lookUp, ownService, signUp, test } from '../../test/support/context.ts';
import { keyedRequest, keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { refuseAtCommit } from '../../test/support/obstacles.ts';
import { eventsOf, preparedOrder } from '../../test/support/orders.ts';
import { Problem } from '../http/problem.ts';
import { createPlacement, placeOrders } from './placement.ts';

// A request that is repeated with its Idempotency-Key. idempotency-keys.test.ts tests which requests are the same.

const PLACE = ['POST', '/orders'] as const;
const KETTLE = {
  product_name: 'Kettle',
  amount: '34.90',
  metadata: { b: 1, a: { d: [1, 2], c: 'é' } },
};

for (const path of ['/orders', '/orders/create']) {
  test(`a repeated POST ${path} gets the first reply again, byte for byte, and places nothing`, async (t) => {
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
  test(`a repeated ${method} /orders/{id}/${path} gets the first reply again`, async (t) => {
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

test('a repeated request gets the first reply, also when the status of the order has changed', async (t) => {
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

test('a transaction that cannot commit stores no key, and a repeated request places the order', async (t) => {
  const service = await ownService(t); // a trigger locks the table, which would delay other tests
  const { origin, deps } = service;
  const user = await signUp(service);
  const mend = await refuseAtCommit(deps, 'Doomed');
  const doomed = { ...KETTLE, product_name: 'Doomed' };

  const failed = await sendKeyed(user, origin, PLACE, 'k', doomed);
  const keys = await keysOf(deps, user.id);
  await mend();
  const again = await sendKeyed(user, origin, PLACE, 'k', doomed);

  t.is(failed.status, 500);
  t.deepEqual(keys, []);
  t.deepEqual([again.status, again.replayed], [201, null]);
  t.is(await ordersOf(deps, user.id), 1);
});

test('a key, its order and the job are stored by one transaction, and the key expires after 24 hours', async (t) => {
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

test('orders of one batch each get the reply of their own key', async (t) => {
  const { deps } = t.context;
  const [ada, bob] = await Promise.all([signUp(t.context), signUp(t.context)]);
  const prepared = [ada, bob, ada, ada, bob, ada].map(({ id }) => preparedOrder(id));
  const orders = prepared.toReversed(); // the order of the requests counts, not the order of the ids
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
