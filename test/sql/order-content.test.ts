import { sql } from 'slonik';
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
  ['currency_code_ck', { currency: 'usd' }],
  ['currency_code_ck', { currency: 'EURO' }],
  ['order_metadata_ck', { metadata: '[]' }],
  ['order_metadata_ck', { metadata: '"text"' }],
  ['order_metadata_ck', { metadata: 'null' }],
  ['order_metadata_ck', { metadata: JSON.stringify({ note: 'x'.repeat(262_144) }) }],
  ['orders_user_fk', { user_id: '00000000-0000-7000-8000-000000000000' }],
] as const) {
  test(`a constraint refuses an order with ${JSON.stringify(wrong).slice(0, 40)}`, async (t) => {
    const { id } = await signUp(t.context);

    const error = await t.throwsAsync(insertOrder(t.context.deps, { user_id: id, ...wrong }));

    t.is((error as { constraint?: string }).constraint, constraint);
  });
}
