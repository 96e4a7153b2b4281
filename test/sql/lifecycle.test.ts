import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { sqlStateOf } from '../../src/db/errors.ts';
import type { Deps } from '../../src/deps.ts';
import { signUp, test, type TestDeps } from '../support/context.ts';
import { andTheirJobs, eventsOf, insertOrders, preparedOrder } from '../support/orders.ts';
import { createPlacement, placeOrders } from '../../src/orders/placement.ts';
import { OrderStatus } from '../../src/orders/schema.ts';

// The lifecycle as an operator in psql meets it: no API, no worker, only SQL.

/** How to get an order to a status, by allowed steps. */
const stepsTo: Record<OrderStatus, OrderStatus[]> = {
  PENDING: [],
  PROCESSING: ['PROCESSING'],
  COMPLETED: ['PROCESSING', 'COMPLETED'],
  CANCELLED: ['CANCELLED'],
  FAILED: ['PROCESSING', 'FAILED'],
};

const ALLOWED = new Set([
  'PENDING → PROCESSING',
  'PENDING → CANCELLED',
  'PROCESSING → COMPLETED',
  'PROCESSING → FAILED',
  'PROCESSING → PENDING',
  'FAILED → PENDING',
]);

for (const from of OrderStatus.options) {
  for (const to of OrderStatus.options.filter((status) => status !== from)) {
    if (ALLOWED.has(`${from} → ${to}`)) {
      test(`an order may go from ${from} to ${to}, and the step is on record`, async (t) => {
        const { deps } = t.context;
        const id = await orderThatIs(t.context, from);
        const before = await orderOf(deps, id);

        await move(deps, id, to);

        const after = await orderOf(deps, id);
        t.like(after, { status: to, version: before.version + 1 });
        t.true(after.updated_at > before.updated_at);
        const Row = z.object({
          version: z.number(),
          from_status: z.string(),
          to_status: z.string(),
        });
        const events = await deps.pool.any(sql.type(Row)`
          SELECT version, from_status, to_status FROM order_events
          WHERE order_id = ${id} AND version > ${before.version}
        `);
        t.deepEqual(events, [{ version: after.version, from_status: from, to_status: to }]);
      });
    } else {
      test(`an order cannot go from ${from} to ${to}`, async (t) => {
        const { deps } = t.context;
        const id = await orderThatIs(t.context, from);
        const before = await orderOf(deps, id);

        t.is(await refusal(move(deps, id, to)), 'OM001');

        t.deepEqual(await orderOf(deps, id), before);
        t.is((await eventsOf(deps, id)).length, before.version);
      });
    }
  }

  test(`an order that is ${from} already may be set so again, and nothing happens`, async (t) => {
    const { deps } = t.context;
    const id = await orderThatIs(t.context, from);
    const before = await orderOf(deps, id);

    await move(deps, id, from);

    t.deepEqual(await orderOf(deps, id), before);
    t.is((await eventsOf(deps, id)).length, before.version);
  });
}

test('an order cannot be placed as anything but PENDING', async (t) => {
  const { id } = await signUp(t.context);

  for (const status of OrderStatus.options.filter((option) => option !== 'PENDING')) {
    const inserting = insert(t.context.deps, { user_id: id, status });
    t.is(await refusal(inserting), 'OM001', status);
  }
});

test('the version of an order counts its events, whatever anybody writes into it', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const id = await insert(deps, { user_id: userId, version: 41 });

  await deps.pool.query(sql.unsafe`UPDATE orders SET version = 99 WHERE id = ${id}`);
  const untouched = await orderOf(deps, id);
  await deps.pool.query(sql.unsafe`
    UPDATE orders SET status = 'CANCELLED', version = 7 WHERE id = ${id}
  `);

  t.is(untouched.version, 1);
  t.is((await orderOf(deps, id)).version, 2);
  t.is((await eventsOf(deps, id)).length, 2);
});

for (const change of [
  sql.unsafe`product_name = 'Teapot'`,
  sql.unsafe`amount = 34.900`,
  sql.unsafe`currency = 'EUR'`,
  sql.unsafe`metadata = '{"gift": true}'`,
  sql.unsafe`user_id = gen_random_uuid()`,
  sql.unsafe`created_at = now() - interval '1 day'`,
]) {
  test(`what was ordered cannot be changed: ${change.sql}`, async (t) => {
    const { deps } = t.context;
    const id = await orderThatIs(t.context, 'PENDING');
    const update = sql.unsafe`UPDATE orders SET ${change} WHERE id = ${id}`;

    t.is(await refusal(deps.pool.query(update)), 'OM004');
  });
}

test('metadata that is equal, and spelled otherwise, is a change too', async (t) => {
  const { deps } = t.context;
  const { id: user_id } = await signUp(t.context);
  const id = await insert(deps, { user_id, metadata: '{"weight": 1}' });
  const update = sql.unsafe`UPDATE orders SET metadata = '{"weight": 1.00}' WHERE id = ${id}`;

  t.is(await refusal(deps.pool.query(update)), 'OM004');
});

test('a change that is not one of status leaves no event', async (t) => {
  const { deps } = t.context;
  const id = await orderThatIs(t.context, 'PENDING');

  await deps.pool.query(sql.unsafe`UPDATE orders SET updated_at = now() WHERE id = ${id}`);

  t.is((await eventsOf(deps, id)).length, 1);
});

test('the trail can only grow', async (t) => {
  const { pool } = t.context.deps;
  const id = await orderThatIs(t.context, 'COMPLETED');
  const before = await eventsOf(t.context.deps, id);

  for (const statement of [
    sql.unsafe`UPDATE order_events SET actor = 'nobody' WHERE order_id = ${id}`,
    sql.unsafe`DELETE FROM order_events WHERE order_id = ${id}`,
    sql.unsafe`TRUNCATE order_events`,
    sql.unsafe`TRUNCATE orders CASCADE`,
  ]) {
    t.is(await refusal(pool.query(statement)), 'OM002', statement.sql);
  }

  t.deepEqual(await eventsOf(t.context.deps, id), before);
});

test('an order that has a trail cannot be deleted, nor its user', async (t) => {
  const { pool } = t.context.deps;
  const user = await signUp(t.context);
  const id = await insert(t.context.deps, { user_id: user.id });

  t.is(await refusal(pool.query(sql.unsafe`DELETE FROM orders WHERE id = ${id}`)), 'OM002');
  t.regex(await refusal(pool.query(sql.unsafe`DELETE FROM users WHERE id = ${user.id}`)), /^23/);
});

test('orders that one statement places for many users are each on record under their own', async (t) => {
  const { deps } = t.context;
  const users = await Promise.all(Array.from({ length: 5 }, () => signUp(t.context)));
  const orders = users.map((user) => preparedOrder(user.id));

  await placeOrders(
    deps,
    orders.map((order) => createPlacement(order)),
  );

  for (const { id, user_id } of orders) {
    const [event] = await eventsOf(deps, id);
    t.is(event?.actor, `user:${user_id}`);
  }
});

test('orders that one statement moves leave one event each, and those it does not move none', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const ids = await insertOrders(deps, user.id, 4);
  await move(deps, ids[0] ?? '', 'CANCELLED');

  await deps.pool.query(sql.unsafe`
    UPDATE orders SET status = CASE WHEN status = 'PENDING' THEN 'PROCESSING' ELSE status END
    WHERE user_id = ${user.id}
  `);

  const counts = await Promise.all(ids.map(async (id) => (await eventsOf(deps, id)).length));
  t.deepEqual(counts, [2, 2, 2, 2]);
});

test('of many orders that one statement moves, one that may not move holds all of them', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const ids = await insertOrders(deps, user.id, 3);
  await move(deps, ids[1] ?? '', 'CANCELLED');

  const moving = deps.pool.query(sql.unsafe`
    UPDATE orders SET status = 'PROCESSING' WHERE user_id = ${user.id}
  `);

  t.is(await refusal(moving), 'OM001');
  const statuses = await Promise.all(ids.map(async (id) => (await orderOf(deps, id)).status));
  t.deepEqual(statuses, ['PENDING', 'CANCELLED', 'PENDING']);
});

test('an operator in psql is on record with their role, and with the reason they give', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const id = await insert(deps, { user_id: user.id });
  const { role } = await deps.pool.one(sql.type(z.object({ role: z.string() }))`
    SELECT session_user::text AS role
  `);

  await deps.pool.query(sql.unsafe`SELECT ops.cancel_order(${id}, 'asked for by phone')`);

  t.deepEqual(await eventsOf(deps, id), [
    { to_status: 'PENDING', actor: `role:${role}`, reason: null },
    { to_status: 'CANCELLED', actor: `role:${role}`, reason: 'asked for by phone' },
  ]);
});

for (const [constraint, wrong] of [
  ['product_name_ck', { product_name: '' }],
  ['product_name_ck', { product_name: ' \t\n' }],
  ['product_name_ck', { product_name: 'x'.repeat(201) }],
  ['money_amount_ck', { amount: '0' }],
  ['money_amount_ck', { amount: '-1' }],
  ['money_amount_ck', { amount: 'NaN' }],
  ['money_amount_ck', { amount: 'Infinity' }],
  ['money_amount_ck', { amount: '1e12' }],
  ['money_amount_ck', { amount: '0.00001' }],
  ['currency_code_ck', { currency: 'usd' }],
  ['currency_code_ck', { currency: 'EURO' }],
  ['order_metadata_ck', { metadata: '[]' }],
  ['order_metadata_ck', { metadata: '"text"' }],
  ['order_metadata_ck', { metadata: 'null' }],
  ['order_metadata_ck', { metadata: JSON.stringify({ note: 'x'.repeat(262_144) }) }],
  ['orders_user_fk', { user_id: '00000000-0000-7000-8000-000000000000' }],
] as const) {
  test(`the database itself refuses an order with ${JSON.stringify(wrong).slice(0, 40)}`, async (t) => {
    const { id } = await signUp(t.context);

    const error = await t.throwsAsync(insert(t.context.deps, { user_id: id, ...wrong }));

    t.is((error as { constraint?: string }).constraint, constraint);
  });
}

type Place = { origin: string; deps: TestDeps };

async function orderThatIs(context: Place, status: OrderStatus): Promise<string> {
  const { id: userId } = await signUp(context);
  const id = await insert(context.deps, { user_id: userId });
  for (const step of stepsTo[status]) await move(context.deps, id, step);
  return id;
}

async function insert({ pool }: Deps, given: Record<string, string | number>): Promise<string> {
  const order = {
    id: randomUUIDv7(),
    status: 'PENDING',
    version: 1,
    product_name: 'Kettle',
    amount: '1',
    currency: 'USD',
    metadata: '{}',
    ...given,
  };
  await pool.query(sql.unsafe`
    WITH placed AS (
      INSERT INTO orders (id, status, version, user_id, product_name, amount, currency, metadata)
      SELECT id, status, version, user_id, product_name, amount, currency, metadata::jsonb
      FROM jsonb_to_record(${sql.jsonb(order)}) AS o(
        id uuid, status order_status, version integer, user_id uuid, product_name text,
        amount numeric, currency text, metadata text
      )
      RETURNING id, xact_id
    )
    ${andTheirJobs}
  `);
  return order.id;
}

async function move({ pool }: Deps, id: string, status: OrderStatus): Promise<void> {
  await pool.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
}

function orderOf({ pool }: Deps, id: string) {
  const Row = z.object({ status: z.string(), version: z.number(), updated_at: z.string() });
  return pool.one(
    sql.type(Row)`SELECT status, version, updated_at::text FROM orders WHERE id = ${id}`,
  );
}

/** The SQLSTATE with which the database refuses; `none` when it does not. */
async function refusal(statement: Promise<unknown>): Promise<string> {
  return statement.then(
    () => 'none',
    (error: unknown) => sqlStateOf(error) ?? String(error),
  );
}
