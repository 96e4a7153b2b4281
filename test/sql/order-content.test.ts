import { sql } from 'slonik';
import { z } from 'zod';
import { signUp, test } from '../support/context.ts';
import { insertOrder, orderThatIs, refusalOf } from '../support/orders-by-hand.ts';

// The content of an order: the constraints on it, and that it cannot be changed.

for (const change of [
  sql.unsafe`product_name = 'Teapot'`,
  sql.unsafe`amount = 34.900`,
  sql.unsafe`currency = 'EUR'`,
  sql.unsafe`metadata = '{"gift": true}'`,
  sql.unsafe`user_id = gen_random_uuid()`,
  sql.unsafe`created_at = now() - interval '1 day'`,
]) {
  test(`the content of an order cannot be changed: ${change.sql}`, async (t) => {
    const { deps } = t.context;
    const id = await orderThatIs(t.context, 'PENDING');
    const update = sql.unsafe`UPDATE orders SET ${change} WHERE id = ${id}`;

    t.is(await refusalOf(deps.pool.query(update)), 'OM004');
  });
}

test('metadata cannot be replaced by equal metadata with another spelling', async (t) => {
  const { deps } = t.context;
  const { id: user_id } = await signUp(t.context);
  const id = await insertOrder(deps, { user_id, metadata: '{"weight": 1}' });
  const update = sql.unsafe`UPDATE orders SET metadata = '{"weight": 1.00}' WHERE id = ${id}`;

  t.is(await refusalOf(deps.pool.query(update)), 'OM004');
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
  ['product_name_ck', { product_name: ' \u00a0\u2003\u3000\ufeff' }],
  ['orders_amount_ck', { amount: '0.001', currency: 'JPY' }],
  ['orders_amount_ck', { amount: '1.005' }],
  ['currency_code_ck', { currency: 'usd' }],
  ['currency_code_ck', { currency: 'EURO' }],
  ['orders_amount_ck', { currency: 'ABC' }],
  ['orders_amount_ck', { currency: 'ANG' }],
  ['order_metadata_ck', { metadata: '[]' }],
  ['order_metadata_ck', { metadata: '"text"' }],
  ['order_metadata_ck', { metadata: 'null' }],
  ['order_metadata_ck', { metadata: JSON.stringify({ note: 'x'.repeat(4086) }) }],
  ['order_metadata_ck', { metadata: JSON.stringify({ note: 'é'.repeat(2044) }) }],
  ['order_metadata_ck', { metadata: `{"n": [${'1e300,'.repeat(13)}1e300]}` }],
  ['orders_user_fk', { user_id: '00000000-0000-7000-8000-000000000000' }],
] as const) {
  test(`a constraint refuses an order with ${JSON.stringify(wrong).slice(0, 40)}`, async (t) => {
    const { id } = await signUp(t.context);

    const error = await t.throwsAsync(insertOrder(t.context.deps, { user_id: id, ...wrong }));

    t.is((error as { constraint?: string }).constraint, constraint);
  });
}

test('an amount is stored with the decimals of its currency, from every writer', async (t) => {
  const { deps } = t.context;
  const { id: user_id } = await signUp(t.context);
  const Row = z.object({ amounts: z.array(z.string()) });

  const ids = [
    await insertOrder(deps, { user_id, amount: '34.9' }),
    await insertOrder(deps, { user_id, amount: '150.000', currency: 'JPY' }),
    await deps.pool.oneFirst(sql.type(z.object({ id: z.string() }))`
      SELECT place_order(${user_id}, 'Kettle', 34.9) AS id
    `),
    await deps.pool.oneFirst(sql.type(z.object({ id: z.string() }))`
      SELECT place_order(${user_id}, 'Kettle', 1, 'KWD') AS id
    `),
  ];
  const { amounts } = await deps.pool.one(sql.type(Row)`
    SELECT array_agg(o.amount::text ORDER BY i.place) AS amounts
    FROM unnest(${sql.array(ids, 'uuid')}) WITH ORDINALITY AS i(id, place) JOIN orders AS o USING (id)
  `);

  t.deepEqual(amounts, ['34.90', '150', '34.90', '1.000']);
});

for (const [amount, currency] of [
  ['0.001', 'JPY'],
  ['1.005', 'USD'],
  ['1', 'ABC'],
  ['1', 'BGN'],
  ['1', 'usd'],
] as const) {
  test(`place_order refuses ${amount} ${currency}`, async (t) => {
    const { id } = await signUp(t.context);

    const error = await t.throwsAsync<Error & { constraint?: string }>(
      t.context.deps.pool.query(sql.unsafe`
        SELECT place_order(${id}, 'Kettle', ${amount}::numeric, ${currency})
      `),
    );

    t.true(['orders_amount_ck', 'currency_code_ck'].includes(error?.constraint ?? ''));
  });
}

test('a number in metadata that no double can represent is sent as it is stored', async (t) => {
  const { deps, origin } = t.context;
  const user = await signUp(t.context);
  const stored =
    '{"n": 123456789012345678901234567890.5, "deep": [{"x": 0.10000000000000000001}], "y": 1.50}';
  const id = await insertOrder(deps, { user_id: user.id, metadata: stored });
  const headers = { authorization: `Bearer ${user.token}` };

  for (const path of [`/orders/${id}`, '/orders', '/orders/my-orders']) {
    const text = await (await fetch(`${origin}${path}`, { headers })).text();
    for (const number of ['123456789012345678901234567890.5', '0.10000000000000000001']) {
      t.true(text.includes(number), `${path}: ${text}`);
    }
  }
});
