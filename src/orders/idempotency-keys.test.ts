import { request } from 'node:http';
import { sql } from 'slonik';
import { signUp, test, withSettings } from '../../test/support/context.ts';
import { keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import type { Deps } from '../deps.ts';

// Which requests are the same, and which requests use up their Idempotency-Key.

const PLACE = ['POST', '/orders'] as const;
const KETTLE = {
  product_name: 'Kettle',
  amount: '34.90',
  metadata: { b: 1, a: { d: [1, 2], c: 'é' } },
};
const TEAPOT = { product_name: 'Teapot', amount: '12.00' };

test('a key in quotes and the same key without quotes are one key', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);

  const bare = await sendKeyed(user, origin, PLACE, 'one-key', KETTLE);
  const quoted = await sendKeyed(user, origin, PLACE, '"one-key"', KETTLE);

  t.is(quoted.text, bare.text);
  t.is(quoted.replayed, 'true');
  t.deepEqual(await keysOf(deps, user.id), ['one-key']);
});

test('a body with another order of members and other white space is the same request', async (t) => {
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

test('a key that is used again with another body is refused, and keeps its first reply', async (t) => {
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

test('the same key of another user, on another path or with another method is another key', async (t) => {
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

test('a request with the same key twice is accepted, and one with two keys is refused', async (t) => {
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

test('a request that is refused does not use up its key', async (t) => {
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

test('a repeated request counts against the rate limit, and a request over the limit stores no key', async (t) => {
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

async function move({ pool }: Deps, id: string, status: string): Promise<void> {
  await pool.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
}
