import type { ExecutionContext } from 'ava';
import { signUp, test, type Context } from '../../test/support/context.ts';
import { connectDba, claimJob } from '../../test/support/dba.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { failSql, sendSql } from '../../test/support/queue-rows.ts';

const NO_JOB = 'OM003';
const ODD = 'OM008';
const WAITS = '55P03'; // until lock_timeout

test('a worker cannot delete the last job of an open order', async (t) => {
  const id = await claimed(t);
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(`DELETE FROM pgboss.job WHERE id = '${id}'`);

  t.is(code, NO_JOB);
});

test('of a job and a dead letter, two transactions at once cannot take both', async (t) => {
  const id = await claimed(t);
  const dba = await connectDba(t, t.context, 'postgres');
  await dba.rows(failSql(id, { state: `'active'`, heartbeat_on: 'd.heartbeat_on' }, {}, 1));
  const letter: string = await dba.value(
    `SELECT id FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = $1`,
    [id],
  );
  await claimJob(t.context.deps, letter, 'fail-order');
  const [first, second] = [
    await connectDba(t, t.context, 'oms_worker'),
    await connectDba(t, t.context, 'oms_worker'),
  ];
  await second.rows('SET lock_timeout = 500');
  for (const [one, other] of [
    [id, letter],
    [letter, id],
  ]) {
    await first.rows(
      `BEGIN; DELETE FROM pgboss.job WHERE id = '${one}'; SET CONSTRAINTS ALL IMMEDIATE`,
    );

    const { code } = await second.refusal(`DELETE FROM pgboss.job WHERE id = '${other}'`);

    t.is(code, WAITS);
    await first.rows('ROLLBACK');
  }
});

test('a waiting job of an open order stays when it is deleted', async (t) => {
  const [id = ''] = await insertOrders(t.context.deps, (await signUp(t.context)).id, 1);
  const { rows } = await connectDba(t, t.context, 'oms_worker');

  const deleted = await rows(`DELETE FROM pgboss.job WHERE id = '${id}' RETURNING id`);

  t.deepEqual(deleted, []);
});

test('a worker cannot make a job of an order', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(sendSql('process-order'));

  t.is(code, ODD);
});

test('a worker cannot claim a job for ever', async (t) => {
  const id = await claimed(t);
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(
    `UPDATE pgboss.job SET heartbeat_on = 'infinity' WHERE id = '${id}'`,
  );

  t.is(code, ODD);
});

/** The id of an order whose job is claimed. */
async function claimed(t: ExecutionContext<Context>): Promise<string> {
  const { deps } = t.context;
  const [id = ''] = await insertOrders(deps, (await signUp(t.context)).id, 1);
  await claimJob(deps, id);
  return id;
}
