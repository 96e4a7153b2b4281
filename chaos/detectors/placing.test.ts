import { randomUUID } from 'node:crypto';
import { placeOrders, createPlacement } from '../../src/orders/placement.ts';
import { signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { keyedRequest } from '../../test/support/idempotency.ts';
import { preparedOrder } from '../../test/support/orders.ts';
import { Death, dieAt } from './dying.ts';

test.serial(
  'an order has its job from the same transaction, even if the API crashes after the commit',
  async (t) => {
    const user = await signUp(t.context);
    const { rows } = await connectDba(t, t.context, 'postgres');
    const order = preparedOrder(user.id);

    const death = await dieAt('after-commit', () =>
      placeOrders(t.context.deps, [createPlacement(order)]),
    );

    t.true(death instanceof Death);
    t.deepEqual(
      await rows(
        `SELECT j.state::text, j.data ->> 'xact_id' = o.xact_id::text AS together
       FROM orders AS o LEFT JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
       WHERE o.id = $1`,
        [order.id],
      ),
      [{ state: 'created', together: true }],
    );
  },
);

test.serial(
  'a stored reply comes from the transaction that placed its order, even if the API crashes after the commit',
  async (t) => {
    const user = await signUp(t.context);
    const { rows } = await connectDba(t, t.context, 'postgres');
    const order = preparedOrder(user.id);
    const request = keyedRequest(user.id, 'once', {});

    const death = await dieAt('after-commit', () =>
      placeOrders(t.context.deps, [createPlacement(order, request)]),
    );

    t.true(death instanceof Death);
    t.deepEqual(
      await rows(
        `SELECT o.id, o.xact_id = k.xact_id AS together
       FROM orders AS o LEFT JOIN idempotency_keys AS k ON k.order_id = o.id
       WHERE o.user_id = $1`,
        [user.id],
      ),
      [{ id: order.id, together: true }],
    );
  },
);

test('a request with a used key gets the first reply, and places no order', async (t) => {
  const user = await signUp(t.context);
  const { value } = await connectDba(t, t.context, 'postgres');
  const key = { 'idempotency-key': `"${randomUUID()}"` };
  const body = { product_name: 'Kettle', amount: '34.90' };

  const first = await user.request('POST', '/orders', body, key);
  const second = await user.request('POST', '/orders', body, key);

  t.is(first.status, 201);
  t.deepEqual(second.body, first.body);
  t.is(second.headers.get('idempotent-replayed'), 'true');
  t.is(await value('SELECT count(*)::int FROM orders WHERE user_id = $1', [user.id]), 1);
});

test('a stored reply describes the order that was placed with it', async (t) => {
  const user = await signUp(t.context);
  await user.place();
  const { rows } = await connectDba(t, t.context, 'postgres');
  const request = keyedRequest(user.id, 'second', {});
  const order = preparedOrder(user.id, 'Toaster');

  await placeOrders(t.context.deps, [createPlacement(order, request)]);

  t.deepEqual(
    await rows(
      `SELECT order_id, body ->> 'id' AS id, body ->> 'product_name' AS product_name
       FROM idempotency_keys WHERE user_id = $1`,
      [user.id],
    ),
    [{ order_id: order.id, id: order.id, product_name: 'Toaster' }],
  );
});

test('a batch stores one job for each order, with the same id', async (t) => {
  const user = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, 'postgres');
  const orders = [preparedOrder(user.id), preparedOrder(user.id), preparedOrder(user.id)];

  await placeOrders(
    t.context.deps,
    orders.map((order) => createPlacement(order)),
  );

  const ids = orders.map(({ id }) => id).toSorted();
  const found = await rows(
    `SELECT o.id AS order_id, j.id AS job_id
     FROM (SELECT id FROM orders WHERE id = ANY ($1)) AS o
     FULL JOIN (SELECT id FROM pgboss.job WHERE name = 'process-order' AND id = ANY ($1)) AS j
     ON j.id = o.id ORDER BY 1, 2`,
    [ids],
  );
  t.deepEqual(
    found,
    ids.map((id) => ({ order_id: id, job_id: id })),
  );
});

test('COMMIT refuses an order that has no job', async (t) => {
  const user = await signUp(t.context);
  const { refusal } = await connectDba(t, t.context, 'postgres');

  const { code } = await refusal(
    `INSERT INTO orders (id, user_id, product_name, amount) VALUES ($1, $2, 'Kettle', 1)`,
    [randomUUID(), user.id],
  );

  t.is(code, 'OM003');
});

test('the owner of place_orders cannot insert an order that has no job', async (t) => {
  const user = await signUp(t.context);
  const { rows, refusal } = await connectDba(t, t.context, 'postgres');
  await rows('SET ROLE oms_placer');

  const { code } = await refusal(
    `INSERT INTO orders (id, user_id, product_name, amount) VALUES ($1, $2, 'Kettle', 1.00)`,
    [randomUUID(), user.id],
  );

  t.is(code, 'OM003');
});

test('place_orders refuses an amount that its currency cannot have', async (t) => {
  const user = await signUp(t.context);
  const order = { ...preparedOrder(user.id), amount: '0.5', currency: 'JPY' };

  const error = await t.throwsAsync<Error & { constraint?: string }>(
    placeOrders(t.context.deps, [createPlacement(order)]),
  );

  t.is(error?.constraint, 'orders_amount_ck');
});
