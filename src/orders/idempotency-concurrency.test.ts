import { sql } from 'slonik';
import { ownService, signUp, test, withSettings } from '../../test/support/context.ts';
import { ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { isAwaited } from '../../test/support/lock-waits.ts';
import { eventsOf } from '../../test/support/orders.ts';
import { startApiProcess } from '../../test/support/processes.ts';
import { testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';

// Requests with the same Idempotency-Key at the same time. The tests that open an API in this process are serial.

const PLACE = ['POST', '/orders'] as const;
const KETTLE = { product_name: 'Kettle', amount: '34.90' };
const TEAPOT = { product_name: 'Teapot', amount: '12.00' };

test('of 40 simultaneous requests with one key to two APIs, one places the order', async (t) => {
  const { database, deps } = t.context;
  const env = testEnvironment(database);
  const apis = await Promise.all([startApiProcess(t, env), startApiProcess(t, env)]);
  const user = await signUp(t.context);
  const attempt = (index: number) =>
    sendKeyed(user, apis[index % 2]?.origin ?? '', PLACE, 'k', KETTLE);

  const replies = await Promise.all(Array.from({ length: 40 }, (_, index) => attempt(index)));
  const after = await Promise.all(Array.from({ length: 10 }, (_, index) => attempt(index)));

  const placed = replies.filter(({ status, replayed }) => status === 201 && !replayed);
  const replayed = replies.filter((reply) => reply.replayed);
  const inUse = replies.filter(({ status }) => status === 409);
  t.log(`${replayed.length} replayed, ${inUse.length} refused as in use`);
  t.is(await ordersOf(deps, user.id), 1);
  t.is(placed.length, 1);
  t.is(replayed.length + inUse.length, 39);
  for (const { text } of inUse) t.is(JSON.parse(text).type, '/problems/idempotency-key-in-use');
  for (const reply of [...replayed, ...after]) {
    t.deepEqual([reply.status, reply.text, reply.replayed], [201, placed[0]?.text ?? '', 'true']);
  }
});

test.serial(
  'while a request is in progress, others with its key are refused at once, with the same body or another',
  async (t) => {
    // With this lock, no order can be placed. The first request waits until the others are answered.
    const service = await ownService(t, { INTAKE_LOCK_TIMEOUT_MS: '9000' });
    const { deps, origin } = service;
    const user = await signUp(service);

    const { placing, twins } = await deps.pool.transaction(async (tx) => {
      await tx.query(sql.unsafe`LOCK TABLE orders IN SHARE MODE`);
      const first = sendKeyed(user, origin, PLACE, 'k', KETTLE);
      await until('the first to wait', () => isAwaited(tx));
      return {
        placing: first,
        twins: [
          await sendKeyed(user, origin, PLACE, 'k', KETTLE),
          await sendKeyed(user, origin, PLACE, 'k', TEAPOT),
        ],
      };
    });
    const placed = await placing;
    const again = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

    for (const twin of twins) {
      t.is(twin.status, 409);
      t.is(twin.headers.get('retry-after'), '1');
      t.like(JSON.parse(twin.text), { type: '/problems/idempotency-key-in-use', status: 409 });
    }
    t.deepEqual([placed.status, placed.replayed], [201, null]);
    t.is(again.text, placed.text);
    t.is(await ordersOf(deps, user.id), 1);
  },
);

test('while a cancellation is in progress, its key is refused at once, and another key waits', async (t) => {
  const { deps, origin } = t.context;
  const user = await signUp(t.context);
  const id = await user.place();
  const cancel = ['PUT', `/orders/${id}/cancellation`] as const;

  const { first, twin } = await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SELECT FROM orders WHERE id = ${id} FOR UPDATE`);
    const waiting = sendKeyed(user, origin, cancel, 'k');
    await until('the first to wait', () => isAwaited(tx));
    return {
      first: [waiting, sendKeyed(user, origin, cancel, 'l')],
      twin: await sendKeyed(user, origin, cancel, 'k'),
    };
  });
  const replies = await Promise.all(first);

  t.is(twin.status, 409);
  t.deepEqual(
    replies.map(({ status, replayed }) => [status, replayed]),
    [
      [200, null],
      [200, null],
    ],
  );
  t.is((await eventsOf(deps, id)).length, 2);
});

test.serial(
  'a request fails when a session without the lock of its key has stored the key meanwhile',
  async (t) => {
    const service = await ownService(t, { INTAKE_LOCK_TIMEOUT_MS: '9000' });
    const { deps, origin } = service;
    const user = await signUp(service);
    const earlier = await user.place();

    const placing = await deps.pool.transaction(async (tx) => {
      await tx.query(sql.unsafe`LOCK TABLE orders IN SHARE MODE`);
      const waiting = sendKeyed(user, origin, PLACE, 'k', KETTLE);
      await until('the request to wait', () => isAwaited(tx));
      await tx.query(sql.unsafe`
      INSERT INTO idempotency_keys (user_id, method, path, key, fingerprint, status, body, order_id, expires_at)
      VALUES (${user.id}, 'POST', '/orders', 'k', sha256(''), 201, '{}', ${earlier}, now() + interval '1 hour')
    `);
      return { waiting };
    });
    const reply = await placing.waiting;

    t.is(reply.status, 409);
    t.is(await ordersOf(deps, user.id), 1, 'its own order is rolled back');
  },
);

test('a cancellation fails when a session without the lock of its key has stored the key meanwhile', async (t) => {
  const { deps, origin } = t.context;
  const user = await signUp(t.context);
  const id = await user.place();
  const path = `/orders/${id}/cancellation`;

  const cancelling = await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SELECT FROM orders WHERE id = ${id} FOR UPDATE`);
    const waiting = sendKeyed(user, origin, ['PUT', path], 'k');
    await until('the request to wait', () => isAwaited(tx));
    await tx.query(sql.unsafe`
      INSERT INTO idempotency_keys (user_id, method, path, key, fingerprint, status, body, order_id, expires_at)
      VALUES (${user.id}, 'PUT', ${path}, 'k', sha256(''), 200, '{}', ${id}, now() + interval '1 hour')
    `);
    return { waiting };
  });
  const reply = await cancelling.waiting;

  t.is(reply.status, 409);
  t.is((await eventsOf(deps, id)).length, 1);
});

test.serial('40 simultaneous requests for a stored reply all get it', async (t) => {
  const { deps, origin } = await withSettings(t, {});
  const user = await signUp({ deps, origin });
  const first = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  const replies = await Promise.all(
    Array.from({ length: 40 }, () => sendKeyed(user, origin, PLACE, 'k', KETTLE)),
  );

  for (const { status, text } of replies) t.deepEqual([status, text], [201, first.text]);
});
