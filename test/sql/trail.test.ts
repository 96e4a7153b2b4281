import { sql } from 'slonik';
import { z } from 'zod';
import { createPlacement, placeOrders } from '../../src/orders/placement.ts';
import { signUp, test } from '../support/context.ts';
import { eventsOf, insertOrders, preparedOrder } from '../support/orders.ts';
import { insertOrder, moveOrder, orderThatIs, refusalOf } from '../support/orders-by-hand.ts';

// The events of an order: each step adds one, with its actor, and no statement removes or changes one.

test('a change of an order that keeps its status adds no event', async (t) => {
  const { deps } = t.context;
  const id = await orderThatIs(t.context, 'PENDING');

  await deps.pool.query(sql.unsafe`UPDATE orders SET updated_at = now() WHERE id = ${id}`);

  t.is((await eventsOf(deps, id)).length, 1);
});

test('events cannot be changed or deleted', async (t) => {
  const { pool } = t.context.deps;
  const id = await orderThatIs(t.context, 'COMPLETED');
  const before = await eventsOf(t.context.deps, id);

  for (const statement of [
    sql.unsafe`UPDATE order_events SET actor = 'role:mallory' WHERE order_id = ${id}`,
    sql.unsafe`DELETE FROM order_events WHERE order_id = ${id}`,
    sql.unsafe`TRUNCATE order_events`,
    sql.unsafe`TRUNCATE orders CASCADE`,
  ]) {
    t.is(await refusalOf(pool.query(statement)), 'OM002', statement.sql);
  }

  t.deepEqual(await eventsOf(t.context.deps, id), before);
});

test('an order with events cannot be deleted, and its user cannot either', async (t) => {
  const { pool } = t.context.deps;
  const user = await signUp(t.context);
  const id = await insertOrder(t.context.deps, { user_id: user.id });

  t.is(await refusalOf(pool.query(sql.unsafe`DELETE FROM orders WHERE id = ${id}`)), 'OM002');
  t.regex(await refusalOf(pool.query(sql.unsafe`DELETE FROM users WHERE id = ${user.id}`)), /^23/);
});

test('when one statement places orders of many users, each order is recorded under its own user', async (t) => {
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

test('a statement on many orders adds one event for each order whose status it changes', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const ids = await insertOrders(deps, user.id, 4);
  await moveOrder(deps, ids[0] ?? '', 'CANCELLED');

  await deps.pool.query(sql.unsafe`
    UPDATE orders SET status = CASE WHEN status = 'PENDING' THEN 'PROCESSING' ELSE status END
    WHERE user_id = ${user.id}
  `);

  const counts = await Promise.all(ids.map(async (id) => (await eventsOf(deps, id)).length));
  t.deepEqual(counts, [2, 2, 2, 2]);
});

test('a cancellation in psql is recorded with the role of the operator and the given reason', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const id = await insertOrder(deps, { user_id: user.id });
  const { role } = await deps.pool.one(sql.type(z.object({ role: z.string() }))`
    SELECT session_user::text AS role
  `);

  await deps.pool.query(sql.unsafe`SELECT ops.cancel_order(${id}, 'asked for by phone')`);

  t.deepEqual(await eventsOf(deps, id), [
    { to_status: 'PENDING', actor: `role:${role}`, reason: null },
    { to_status: 'CANCELLED', actor: `role:${role}`, reason: 'asked for by phone' },
  ]);
});
