import { sql, type DatabaseTransactionConnection } from 'slonik';
import { ownService, signUp, test, withSettings } from '../../test/support/context.ts';
import { holdableDatabase } from '../../test/support/holdable-database.ts';
import { keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { eventsOf } from '../../test/support/orders.ts';
import { startApi } from '../../test/support/processes.ts';
import { databaseUrl, testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';

const PLACE = ['POST', '/orders'] as const;
const KETTLE = { product_name: 'Kettle', amount: '34.90' };
const TEAPOT = { product_name: 'Teapot', amount: '12.00' };

test('of 40 requests with one key at the same moment on two APIs, one places the order', async (t) => {
  const { database, deps } = t.context;
  const env = testEnvironment(database);
  const apis = await Promise.all([startApi(t, env), startApi(t, env)]);
  const user = await signUp(t.context);
  const attempt = (index: number) =>
    sendKeyed(user, apis[index % 2]?.origin ?? '', PLACE, 'k', KETTLE);

  const replies = await Promise.all(Array.from({ length: 40 }, (_, index) => attempt(index)));
  const after = await Promise.all(Array.from({ length: 10 }, (_, index) => attempt(index)));

  const placed = replies.filter(({ status, replayed }) => status === 201 && !replayed);
  const replayed = replies.filter((reply) => reply.replayed);
  const inUse = replies.filter(({ status }) => status === 409);
  t.log(`${replayed.length} replayed, ${inUse.length} told to come back`);
  t.is(await ordersOf(deps, user.id), 1);
  t.is(placed.length, 1);
  t.is(replayed.length + inUse.length, 39);
  for (const { text } of inUse) t.is(JSON.parse(text).type, '/problems/idempotency-key-in-use');
  for (const reply of [...replayed, ...after]) {
    t.deepEqual([reply.status, reply.text, reply.replayed], [201, placed[0]?.text ?? '', 'true']);
  }
});

// Serial are those that have a database or an API of their own.

test.serial(
  'a request whose twin is in flight is told so at once, whatever its body',
  async (t) => {
    // The lock stops all placing of orders. The first request waits until the others are answered.
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

test('a cancellation whose twin is in flight is told so at once; another key waits its turn', async (t) => {
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

test('an API that is killed between its commit and its answer leaves a reply for the retry', async (t) => {
  const { database, deps } = t.context;
  const held = await holdableDatabase(t, databaseUrl(database));
  const doomed = await startApi(t, testEnvironment(database, { DATABASE_URL: held.url }));
  const other = await startApi(t, testEnvironment(database));
  const user = await signUp(t.context);

  held.hold('answer');
  const unanswered = sendKeyed(user, doomed.origin, PLACE, 'k', KETTLE).catch(() => null);
  await until('the commit', async () => held.isHeld() && (await ordersOf(deps, user.id)) === 1);
  doomed.send('SIGKILL');
  const [reply, { signal }] = await Promise.all([unanswered, doomed.ended]);
  const again = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);

  t.deepEqual([reply, signal], [null, 'SIGKILL']);
  t.deepEqual([again.status, again.replayed], [201, 'true']);
  t.is((await user.request('GET', again.location ?? '')).status, 200);
  t.is(await ordersOf(deps, user.id), 1);
});

test('an API killed before its statement arrives leaves nothing, and the retry succeeds', async (t) => {
  const { database, deps } = t.context;
  const held = await holdableDatabase(t, databaseUrl(database));
  const doomed = await startApi(t, testEnvironment(database, { DATABASE_URL: held.url }));
  const other = await startApi(t, testEnvironment(database));
  const user = await signUp(t.context);

  held.hold('statement');
  const unanswered = sendKeyed(user, doomed.origin, PLACE, 'k', KETTLE).catch(() => null);
  await until('the statement to be on its way', held.isHeld);
  doomed.send('SIGKILL');
  await Promise.all([unanswered, doomed.ended]);
  const again = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);

  t.deepEqual([again.status, again.replayed], [201, null]);
  t.is(await ordersOf(deps, user.id), 1);
  t.deepEqual(await keysOf(deps, user.id), ['k']);
});

test('an API killed while its statement runs leaves one order, and a reply for the retry', async (t) => {
  const { database, deps } = t.context;
  const doomed = await startApi(t, testEnvironment(database, { INTAKE_LOCK_TIMEOUT_MS: '9000' }));
  const other = await startApi(t, testEnvironment(database));
  const user = await signUp(t.context);

  const { unanswered, inFlight } = await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SELECT FROM users WHERE id = ${user.id} FOR UPDATE`);
    const waiting = sendKeyed(user, doomed.origin, PLACE, 'k', KETTLE).catch(() => null);
    await until('the statement to wait', () => isAwaited(tx));
    const twin = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);
    doomed.send('SIGKILL');
    await doomed.ended;
    return { unanswered: await waiting, inFlight: twin };
  });
  const again = await until('the statement to end', async () => {
    const reply = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);
    return reply.status !== 409 && reply;
  });

  t.deepEqual([unanswered, inFlight.status], [null, 409]);
  t.deepEqual([again.status, again.replayed], [201, 'true']);
  t.is(await ordersOf(deps, user.id), 1);
  t.deepEqual(await keysOf(deps, user.id), ['k']);
});

test.serial('a request whose connection is cut in the middle can be retried', async (t) => {
  const service = await ownService(t);
  const { deps, origin } = service;
  const user = await signUp(service);

  const cut = await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`LOCK TABLE orders IN SHARE MODE`);
    const waiting = sendKeyed(user, origin, PLACE, 'k', KETTLE);
    await until('the request to wait', () => isAwaited(tx));
    await tx.query(sql.unsafe`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))
    `);
    return waiting;
  });
  const again = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  t.is(cut.status, 503);
  t.deepEqual([again.status, again.replayed], [201, null]);
  t.is(await ordersOf(deps, user.id), 1);
});

test.serial(
  'a key that somebody has stored without asking for its lock is not stored twice',
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
    t.is(await ordersOf(deps, user.id), 1, 'what it had placed is rolled back');
  },
);

test('a cancellation whose key somebody has stored without its lock is not carried out', async (t) => {
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

test.serial('replays do not get into the way of each other', async (t) => {
  const { deps, origin } = await withSettings(t, {});
  const user = await signUp({ deps, origin });
  const first = await sendKeyed(user, origin, PLACE, 'k', KETTLE);

  const replies = await Promise.all(
    Array.from({ length: 40 }, () => sendKeyed(user, origin, PLACE, 'k', KETTLE)),
  );

  for (const { status, text } of replies) t.deepEqual([status, text], [201, first.text]);
});

/** Whether a session waits for a lock that this transaction holds. */
function isAwaited(tx: DatabaseTransactionConnection): Promise<boolean> {
  return tx.exists(sql.unsafe`
    SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
  `);
}
