import { sql } from 'slonik';
import { z } from 'zod';
import { OrderStatus } from '../../src/orders/schema.ts';
import { signUp, test } from '../support/context.ts';
import { eventsOf, insertOrders } from '../support/orders.ts';
import {
  insertOrder,
  moveOrder,
  orderOf,
  orderThatIs,
  refusalOf,
} from '../support/orders-by-hand.ts';

// Every step of an order's lifecycle, allowed and forbidden, by plain SQL as in psql.

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
      test(`an order can go from ${from} to ${to}, and the step is recorded`, async (t) => {
        const { deps } = t.context;
        const id = await orderThatIs(t.context, from);
        const before = await orderOf(deps, id);

        await moveOrder(deps, id, to);

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

        t.is(await refusalOf(moveOrder(deps, id, to)), 'OM001');

        t.deepEqual(await orderOf(deps, id), before);
        t.is((await eventsOf(deps, id)).length, before.version);
      });
    }
  }

  test(`setting an order that is ${from} to ${from} again changes nothing`, async (t) => {
    const { deps } = t.context;
    const id = await orderThatIs(t.context, from);
    const before = await orderOf(deps, id);

    await moveOrder(deps, id, from);

    t.deepEqual(await orderOf(deps, id), before);
    t.is((await eventsOf(deps, id)).length, before.version);
  });
}

test('a new order can only be PENDING', async (t) => {
  const { id } = await signUp(t.context);

  for (const status of OrderStatus.options.filter((option) => option !== 'PENDING')) {
    const inserting = insertOrder(t.context.deps, { user_id: id, status });
    t.is(await refusalOf(inserting), 'OM001', status);
  }
});

test('the version of an order counts its events, also when a statement sets another version', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const id = await insertOrder(deps, { user_id: userId, version: 41 });

  await deps.pool.query(sql.unsafe`UPDATE orders SET version = 99 WHERE id = ${id}`);
  const untouched = await orderOf(deps, id);
  await deps.pool.query(sql.unsafe`
    UPDATE orders SET status = 'CANCELLED', version = 7 WHERE id = ${id}
  `);

  t.is(untouched.version, 1);
  t.is((await orderOf(deps, id)).version, 2);
  t.is((await eventsOf(deps, id)).length, 2);
});

test('when one of many orders cannot take a step, the statement changes none of them', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const ids = await insertOrders(deps, user.id, 3);
  await moveOrder(deps, ids[1] ?? '', 'CANCELLED');

  const moving = deps.pool.query(sql.unsafe`
    UPDATE orders SET status = 'PROCESSING' WHERE user_id = ${user.id}
  `);

  t.is(await refusalOf(moving), 'OM001');
  const statuses = await Promise.all(ids.map(async (id) => (await orderOf(deps, id)).status));
  t.deepEqual(statuses, ['PENDING', 'CANCELLED', 'PENDING']);
});
