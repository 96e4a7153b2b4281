import { connect } from 'node:net';
import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import type { Reply as StoredReply } from '../http/reply.ts';
import { ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { preparedOrder } from '../../test/support/orders.ts';
import { startApi } from '../../test/support/processes.ts';
import { databaseUrl, testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { createIntake, createPlacement } from './placement.ts';

// Serial, because a transaction that is held up has 9 s until it gives up.
const HELD_UP = { INTAKE_LOCK_TIMEOUT_MS: '9000' };

const KETTLE = { product_name: 'Kettle', amount: '34.90' };
type User = Awaited<ReturnType<typeof signUp>>;

for (const lanes of [1, 2]) {
  test.serial(
    `200 orders that come while all of ${lanes} lanes are busy take at most 5 transactions`,
    async (t) => {
      const settings = { ...HELD_UP, INTAKE_IN_FLIGHT_MAX: String(lanes) };
      const { origin, deps, database } = await ownService(t, settings);
      const user = await signUp({ deps, origin });
      const held = [];
      for (let lane = 0; lane < lanes; lane += 1) {
        held.push(await holdUpOrderOf(t, database, await signUp({ deps, origin })));
      }

      const others = Array.from({ length: 200 }, () => user.request('POST', '/orders', KETTLE));
      await waitingAt(origin, 200);
      for (const { release } of held) await release();
      const replies = await Promise.all([...others, ...held.map(({ blocked }) => blocked)]);

      t.true(replies.every(({ status }) => status === 201));
      const transactions = await transactionsOf(deps, user);
      t.true(transactions <= 5, `${transactions} transactions`);
    },
  );
}

test.serial('a user whose row is locked costs others the wait, and nothing else', async (t) => {
  const service = await ownService(t, { INTAKE_IN_FLIGHT_MAX: '1', INTAKE_LOCK_TIMEOUT_MS: '100' });
  const [locked, user] = await twoUsers(service);
  const { blocked, release } = await holdUpOrderOf(t, service.database, locked);

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
  t.is((await locked.request('POST', '/orders', KETTLE)).status, 201, 'once it is free');
});

test.serial('two orders behind one lock cost those beside them one wait', async (t) => {
  const waitMs = 3000;
  const settings = { INTAKE_IN_FLIGHT_MAX: '1', INTAKE_LOCK_TIMEOUT_MS: String(waitMs) };
  const service = await ownService(t, settings);
  const [locked, user] = await twoUsers(service);
  const { blocked, release } = await holdUpOrderOf(t, service.database, locked);
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
  // Each of the two is found by halving: at three seconds a time it would take 40.
  t.true(tookMs < 5 * waitMs, `${tookMs} ms`);
});

test.serial('one order of 200 that cannot be stored fails alone', async (t) => {
  const { deps } = await ownService(t);
  const user = await signUp({ deps, origin: '' });
  const orders = Array.from({ length: 200 }, () => preparedOrder(user.id));
  orders[123] = preparedOrder(randomUUIDv7()); // of an unknown user
  const { pool, transactions } = countingPool(deps);
  const intake = createIntake({ ...deps, pool });

  const settled = await Promise.allSettled(
    orders.map((order) => intake.add(createPlacement(order))),
  );

  const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? index : []));
  t.deepEqual(failed, [123]);
  const [refusal] = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  t.is((refusal as { constraint?: string }).constraint, 'orders_user_fk');
  const answered = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  t.deepEqual(answered.map(idIn), ids(orders).toSpliced(123, 1), 'each has its own order');
  t.deepEqual(await storedWithJob(deps, user), ids(orders).toSpliced(123, 1).sort());
  const count = transactions();
  t.true(count > 1 && count <= 1 + 2 * Math.ceil(Math.log2(200)), `${count} transactions`);
});

test.serial('an order whose job cannot be created fails alone', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const orders = Array.from({ length: 20 }, () => preparedOrder(user.id));
  const [taken] = orders.slice(7);
  await deps.pool.query(sql.unsafe`
    INSERT INTO pgboss.job (id, name, data) VALUES (${taken?.id ?? ''}, 'process-order', '{}')
  `);
  const intake = createIntake(deps);

  const settled = await Promise.allSettled(
    orders.map((order) => intake.add(createPlacement(order))),
  );

  const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? index : []));
  t.deepEqual(failed, [7]);
  t.deepEqual(await storedWithJob(deps, user), ids(orders).toSpliced(7, 1).sort());
});

test.serial(
  'of two requests under one key that one transaction takes, one places the order',
  async (t) => {
    const { origin, deps, database } = await ownService(t, {
      ...HELD_UP,
      INTAKE_IN_FLIGHT_MAX: '1',
    });
    const [busy, user] = await twoUsers({ deps, origin });
    const { release } = await holdUpOrderOf(t, database, busy);

    const twins = [1, 2].map(() =>
      user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'twin' }),
    );
    const other = user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'other' });
    await waitingAt(origin, 3);
    await release();
    const replies = await Promise.all(twins);
    const again = await user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'twin' });

    const statuses = replies.map(({ status }) => status);
    t.true(statuses.includes(201) && statuses.includes(409), String(statuses));
    t.is((await other).status, 201);
    t.is(again.body.id, replies.find(({ status }) => status === 201)?.body.id);
    t.is(again.headers.get('idempotent-replayed'), 'true');
    t.is((await storedWithJob(deps, user)).length, 2);
  },
);

test.serial(
  'when as many orders wait as may, the next is told to come back, and the others are placed',
  async (t) => {
    const settings = { ...HELD_UP, INTAKE_IN_FLIGHT_MAX: '1', INTAKE_QUEUE_MAX: '10' };
    const { origin, deps, database } = await ownService(t, settings);
    const [busy, user] = await twoUsers({ deps, origin });
    const { release } = await holdUpOrderOf(t, database, busy);
    const waiting = Array.from({ length: 10 }, () => user.request('POST', '/orders', KETTLE));
    await waitingAt(origin, 10);

    const refused = await user.request('POST', '/orders', KETTLE);
    await release();
    const replies = await Promise.all(waiting);

    t.is(refused.status, 503);
    t.is(refused.body.type, '/problems/overloaded');
    t.regex(refused.headers.get('retry-after') ?? '', /^\d+$/);
    t.true(replies.every(({ status }) => status === 201));
    t.is((await user.request('POST', '/orders', KETTLE)).status, 201, 'there is room again');
    t.is((await storedWithJob(deps, user)).length, 11);
  },
);

test.serial('an order whose client has hung up before its turn is not placed', async (t) => {
  const { origin, deps, database } = await ownService(t, { ...HELD_UP, INTAKE_IN_FLIGHT_MAX: '1' });
  const [busy, user] = await twoUsers({ deps, origin });
  const { release } = await holdUpOrderOf(t, database, busy);
  const socket = sendRaw(origin, user);
  await waitingAt(origin, 1);

  socket.destroy();
  const other = user.request('POST', '/orders', { ...KETTLE, product_name: 'Lamp' });
  await waitingAt(origin, 2);
  await release();

  t.is((await other).status, 201);
  t.deepEqual(await productsOf(deps, user), ['Lamp']);
});

test.serial(
  'an API that is told to stop in the middle of a batch commits it, and answers everybody',
  async (t) => {
    const { deps, database } = await ownService(t);
    const api = await startApi(
      t,
      testEnvironment(database, { ...HELD_UP, INTAKE_IN_FLIGHT_MAX: '1' }),
    );
    const { origin } = api;
    const [busy, user] = await twoUsers({ deps, origin });
    const { release, blocked } = await holdUpOrderOf(t, database, busy);
    const waiting = Array.from({ length: 20 }, () => user.request('POST', '/orders', KETTLE));
    await waitingAt(origin, 20);

    api.send('SIGTERM');
    await until('it to stop listening', () => api.logged('api stopping').length > 0);
    await release();
    const replies = await Promise.all([blocked, ...waiting]);
    const { code } = await api.ended;

    t.true(replies.every(({ status }) => status === 201));
    t.is(code, 0);
    const stored = [await storedWithJob(deps, busy), await storedWithJob(deps, user)].flat();
    const acknowledged = replies.map(({ body }): string => body.id);
    t.deepEqual(acknowledged.sort(), stored.sort());
  },
);

function twoUsers(service: Pick<Context, 'deps' | 'origin'>): Promise<[User, User]> {
  return Promise.all([signUp(service), signUp(service)]);
}

/**
 * Sends an order of a user and blocks its transaction: it waits for the user's row, which a session of the test has
 * locked.
 */
async function holdUpOrderOf(t: ExecutionContext, database: string, user: User) {
  const client = new Client(databaseUrl(database));
  await client.connect();
  t.teardown(() => client.end());
  await client.query('BEGIN');
  await client.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [user.id]);
  const blocked = user.request('POST', '/orders', KETTLE);
  await until('the transaction to wait', async () => {
    const { rowCount } = await client.query(
      'SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))',
    );
    return rowCount;
  });
  return { blocked, release: () => client.query('COMMIT') };
}

/** Waits until this many orders wait for a transaction, according to the API's metrics. */
async function waitingAt(origin: string, count: number): Promise<void> {
  await until(`${count} orders to wait`, async () => {
    const metrics = await (await fetch(`${origin}/metrics`)).text();
    return metrics.includes(`\noms_intake_waiting_orders ${count}\n`);
  });
}

async function transactionsOf({ pool }: Deps, { id }: User): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ count: z.int() }))`
    SELECT count(DISTINCT xact_id::text) AS count FROM orders WHERE user_id = ${id}
  `);
}

async function storedWithJob({ pool }: Deps, { id }: User): Promise<string[]> {
  const rows = await pool.anyFirst(sql.type(z.object({ id: z.string() }))`
    SELECT o.id FROM orders AS o
    JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
      AND j.data ->> 'xact_id' = o.xact_id::text
    WHERE o.user_id = ${id}
    ORDER BY o.id
  `);
  return [...rows];
}

async function productsOf({ pool }: Deps, { id }: User) {
  const Row = z.object({ product_name: z.string() });
  return [
    ...(await pool.anyFirst(sql.type(Row)`
      SELECT product_name FROM orders WHERE user_id = ${id} ORDER BY id
    `)),
  ];
}

/** A pool that counts the statements that place orders, each a transaction; those that fail too. */
function countingPool({ pool }: Deps): { pool: Deps['pool']; transactions: () => number } {
  let count = 0;
  const one: Deps['pool']['one'] = (...args) => {
    count += 1;
    return pool.one(...args);
  };
  return { pool: { ...pool, one }, transactions: () => count };
}

function idIn({ body }: StoredReply): string {
  return (JSON.parse(body) as { id: string }).id;
}

function ids(orders: { id: string }[]): string[] {
  return orders.map(({ id }) => id);
}

/** Sends an order over a connection that can be broken. */
function sendRaw(origin: string, { token }: User) {
  const { hostname, port, host } = new URL(origin);
  const body = JSON.stringify(KETTLE);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /orders HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}
