import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { ownService, signUp, test } from '../../test/support/context.ts';
import { blockOrderOf, KETTLE, storedWithJob, twoCustomers } from '../../test/support/intake.ts';
import { preparedOrder } from '../../test/support/orders.ts';
import type { Deps } from '../deps.ts';
import type { Reply } from '../http/reply.ts';
import { createIntake, createPlacement, type IdentifiedOrder } from './placement.ts';

// An order that cannot be stored, or that waits for a lock, is in one batch with others.

test.serial(
  'an order of a user whose row is locked is refused, and other orders are placed',
  async (t) => {
    const service = await ownService(t, {
      INTAKE_IN_FLIGHT_MAX: '1',
      INTAKE_LOCK_TIMEOUT_MS: '100',
    });
    const [locked, user] = await twoCustomers(service);
    const { blocked, release } = await blockOrderOf(t, service.database, locked);

    const others = Array.from({ length: 20 }, () => user.request('POST', '/orders', KETTLE));
    const again = locked.request('POST', '/orders', KETTLE);
    const refused = await Promise.all([blocked, again]);
    const replies = await Promise.all(others);
    await release();

    for (const { status, body, headers } of refused) {
      t.deepEqual([status, body.type], [503, '/problems/overloaded']);
      t.regex(headers.get('retry-after') ?? '', /^\d+$/);
    }
    t.true(replies.every(({ status }) => status === 201));
    t.is((await storedWithJob(service.deps, locked)).length, 0);
    t.is((await locked.request('POST', '/orders', KETTLE)).status, 201, 'after the release');
  },
);

test.serial(
  'two orders that wait for a lock delay the others of their batch by one lock timeout',
  async (t) => {
    const waitMs = 3000;
    const settings = { INTAKE_IN_FLIGHT_MAX: '1', INTAKE_LOCK_TIMEOUT_MS: String(waitMs) };
    const service = await ownService(t, settings);
    const [locked, user] = await twoCustomers(service);
    const { blocked, release } = await blockOrderOf(t, service.database, locked);
    const place = (_: unknown, n: number) =>
      (n % 50 === 25 ? locked : user).request('POST', '/orders', KETTLE);

    const batch = Promise.all(Array.from({ length: 100 }, place));
    await blocked;
    const started = performance.now();
    const replies = await batch;
    const tookMs = performance.now() - started;
    await release();

    t.deepEqual(
      replies.map(({ status }) => status),
      replies.map((_, n) => (n % 50 === 25 ? 503 : 201)),
    );
    // Halving finds each of the two. With the full timeout for each call, it would take 40 s.
    t.true(tookMs < 5 * waitMs, `${tookMs} ms`);
  },
);

test.serial('one order of 200 that cannot be stored fails alone', async (t) => {
  const { deps } = await ownService(t);
  const user = await signUp({ deps, origin: '' });
  const orders = Array.from({ length: 200 }, () => preparedOrder(user.id));
  orders[123] = preparedOrder(randomUUIDv7()); // of an unknown user
  const { pool, transactions } = countingPool(deps);

  const { failed, errors, placed } = await placeAll({ ...deps, pool }, orders);

  t.deepEqual(failed, [123]);
  t.is((errors[0] as { constraint?: string }).constraint, 'orders_user_fk');
  const others = orders.map(({ id }) => id).toSpliced(123, 1);
  t.deepEqual(placed, others, 'each reply has its own order');
  t.deepEqual(await storedWithJob(deps, user), others.toSorted());
  const count = transactions();
  t.true(count > 1 && count <= 1 + 2 * Math.ceil(Math.log2(200)), `${count} transactions`);
});

test.serial('an order whose job cannot be stored fails alone', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const orders = Array.from({ length: 20 }, () => preparedOrder(user.id));
  await deps.pool.query(sql.unsafe`
    INSERT INTO pgboss.job (id, name, data) VALUES (${orders[7]?.id ?? ''}, 'process-order', '{}')
  `);

  const { failed, placed } = await placeAll(deps, orders);

  t.deepEqual(failed, [7]);
  t.deepEqual(await storedWithJob(deps, user), placed.toSorted());
  t.is(placed.length, 19);
});

/** Places orders through an intake. Returns the indexes and errors of those that failed, and the ids in the replies. */
async function placeAll(deps: Parameters<typeof createIntake>[0], orders: IdentifiedOrder[]) {
  const intake = createIntake(deps);
  const settled = await Promise.allSettled(
    orders.map((order) => intake.add(createPlacement(order))),
  );
  return {
    failed: settled.flatMap(({ status }, index) => (status === 'rejected' ? index : [])),
    errors: settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : [])),
    placed: settled.flatMap((one) => (one.status === 'fulfilled' ? [idIn(one.value)] : [])),
  };
}

function idIn({ body }: Reply): string {
  return (JSON.parse(body) as { id: string }).id;
}

/** A pool that counts the statements that place orders. Each is a transaction. Those that fail are counted too. */
function countingPool({ pool }: Pick<Deps, 'pool'>) {
  let count = 0;
  const one: Deps['pool']['one'] = (...args) => {
    count += 1;
    return pool.one(...args);
  };
  return { pool: { ...pool, one }, transactions: () => count };
}
