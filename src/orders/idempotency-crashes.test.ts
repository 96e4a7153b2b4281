import { sql } from 'slonik';
import { ownService, signUp, test } from '../../test/support/context.ts';
import { stallingDatabase } from '../../test/support/stalling-database.ts';
import { keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { isAwaited } from '../../test/support/lock-waits.ts';
import { startApiProcess } from '../../test/support/processes.ts';
import { databaseUrl, testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';

// A request breaks off, and the client repeats it with the same Idempotency-Key.

const PLACE = ['POST', '/orders'] as const;
const KETTLE = { product_name: 'Kettle', amount: '34.90' };

test('after an API is killed between the commit and its reply, a repeated request gets the stored reply', async (t) => {
  const { database, deps } = t.context;
  const proxy = await stallingDatabase(t, databaseUrl(database));
  const doomed = await startApiProcess(t, testEnvironment(database, { DATABASE_URL: proxy.url }));
  const other = await startApiProcess(t, testEnvironment(database));
  const user = await signUp(t.context);

  proxy.stall('answer');
  const unanswered = sendKeyed(user, doomed.origin, PLACE, 'k', KETTLE).catch(() => null);
  await until('the commit', async () => proxy.isStalled() && (await ordersOf(deps, user.id)) === 1);
  doomed.send('SIGKILL');
  const [reply, { signal }] = await Promise.all([unanswered, doomed.ended]);
  const again = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);

  t.deepEqual([reply, signal], [null, 'SIGKILL']);
  t.deepEqual([again.status, again.replayed], [201, 'true']);
  t.is((await user.request('GET', again.location ?? '')).status, 200);
  t.is(await ordersOf(deps, user.id), 1);
});

test('after an API is killed before its statement arrives, a repeated request places the order', async (t) => {
  const { database, deps } = t.context;
  const proxy = await stallingDatabase(t, databaseUrl(database));
  const doomed = await startApiProcess(t, testEnvironment(database, { DATABASE_URL: proxy.url }));
  const other = await startApiProcess(t, testEnvironment(database));
  const user = await signUp(t.context);

  proxy.stall('statement');
  const unanswered = sendKeyed(user, doomed.origin, PLACE, 'k', KETTLE).catch(() => null);
  await until('the statement to be on its way', proxy.isStalled);
  doomed.send('SIGKILL');
  await Promise.all([unanswered, doomed.ended]);
  const again = await sendKeyed(user, other.origin, PLACE, 'k', KETTLE);

  t.deepEqual([again.status, again.replayed], [201, null]);
  t.is(await ordersOf(deps, user.id), 1);
  t.deepEqual(await keysOf(deps, user.id), ['k']);
});

test('after an API is killed while its statement runs, a repeated request gets the stored reply', async (t) => {
  const { database, deps } = t.context;
  const doomed = await startApiProcess(
    t,
    testEnvironment(database, { INTAKE_LOCK_TIMEOUT_MS: '9000' }),
  );
  const other = await startApiProcess(t, testEnvironment(database));
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

test.serial(
  'after the database connection of a request is lost, a repeated request places the order',
  async (t) => {
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
  },
);
