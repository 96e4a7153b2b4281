import { lookUp, signUp, test } from '../../test/support/context.ts';
import { connectDba, exhaustRetries, claimJob, type Dba } from '../../test/support/dba.ts';
import { insertOrders } from '../../test/support/orders.ts';

/** Claims the job of an order, lets another attempt take it over, and returns the first claim, which is lost. */
async function lostClaim(t: Parameters<typeof connectDba>[0], { value }: Dba) {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(deps, userId, 1);
  await claimJob(deps, id);
  const claim = (await value(
    `SELECT jsonb_build_object('id', id, 'retry_count', retry_count, 'data', data)
     FROM order_jobs WHERE id = $1`,
    [id],
  )) as { id: string };
  await claimJob(deps, id);
  return claim;
}

for (const [door, extra] of [
  ['settle_orders', { status: 'COMPLETED' }],
  ['complete_orders', {}],
] as const) {
  test(`${door} has no effect for an attempt that lost its claim`, async (t) => {
    const dba = await connectDba(t, t.context, 'postgres');
    const claim = await lostClaim(t, dba);

    const { code } = await dba.refusal(`SELECT ${door}($1, 'host:1', 1000)`, [
      JSON.stringify([{ ...claim, ...extra }]),
    ]);

    t.is(code, 'OM009');
    t.like(await lookUp(t.context.deps, claim.id), { status: 'PENDING', job: 'active' });
  });
}

test('take_orders takes no order for an attempt that lost its claim', async (t) => {
  const dba = await connectDba(t, t.context, 'postgres');
  const claim = await lostClaim(t, dba);

  const taken = await dba.rows(`SELECT id FROM take_orders($1, 'host:1', 1000)`, [
    JSON.stringify([claim]),
  ]);

  t.deepEqual(taken, []);
  t.like(await lookUp(t.context.deps, claim.id), { status: 'PENDING', job: 'active' });
});

test('fail_orders has no effect for an attempt that lost its claim', async (t) => {
  const { deps } = t.context;
  const dba = await connectDba(t, t.context, 'postgres');
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(deps, userId, 1);
  const letter = await exhaustRetries(deps, id);
  await claimJob(deps, letter, 'fail-order');
  await claimJob(deps, letter, 'fail-order'); // the second attempt

  const { code } = await dba.refusal(`SELECT fail_orders($1, 'host:1', 1000)`, [
    JSON.stringify([{ id: letter, retry_count: 0, order_id: id, reason: 'late' }]),
  ]);

  t.is(code, 'OM009');
  t.is(await dba.value('SELECT status::text FROM orders WHERE id = $1', [id]), 'PENDING');
});

test('a claim of a deleted job does not hold for a new job of the same order', async (t) => {
  const { deps } = t.context;
  const dba = await connectDba(t, t.context, 'postgres');
  const claim = await lostClaim(t, dba);
  await deps.boss.deleteJob('process-order', claim.id);
  await dba.rows(`SELECT ops.retry_order($1, 'ticket 1')`, [claim.id]);
  await claimJob(deps, claim.id);

  const { code } = await dba.refusal(`SELECT complete_orders($1, 'host:1', 1000)`, [
    JSON.stringify([claim]),
  ]);

  t.is(code, 'OM009');
});
