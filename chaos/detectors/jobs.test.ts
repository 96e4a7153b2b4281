import type { ExecutionContext } from 'ava';
import { signUp, test, type Context } from '../../test/support/context.ts';
import { connectDba, claimJob } from '../../test/support/dba.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { failSql, sendSql } from '../../test/support/queue-rows.ts';

const NO_JOB = 'OM003';
const FORBIDDEN_JOB = 'OM008';
const LOCK_TIMEOUT = '55P03';

test('a worker cannot delete the last job of an open order', async (t) => {
  const id = await claimed(t);
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(`DELETE FROM pgboss.job WHERE id = '${id}'`);

  t.is(code, NO_JOB);
});

test('two transactions at once cannot delete both the job and the dead letter of an order', async (t) => {
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

    t.is(code, LOCK_TIMEOUT);
    await first.rows('ROLLBACK');
  }
});

test('a DELETE of the waiting job of an open order deletes nothing', async (t) => {
  const [id = ''] = await insertOrders(t.context.deps, (await signUp(t.context)).id, 1);
  const { rows } = await connectDba(t, t.context, 'oms_worker');

  const deleted = await rows(`DELETE FROM pgboss.job WHERE id = '${id}' RETURNING id`);

  t.deepEqual(deleted, []);
});

test('a worker cannot insert a job of an order', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(sendSql('process-order'));

  t.is(code, FORBIDDEN_JOB);
});

test('a worker cannot give its job a heartbeat in the future', async (t) => {
  const id = await claimed(t);
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(
    `UPDATE pgboss.job SET heartbeat_on = 'infinity' WHERE id = '${id}'`,
  );

  t.is(code, FORBIDDEN_JOB);
});

/** Places an order and claims its job. Returns the id of both. */
async function claimed(t: ExecutionContext<Context>): Promise<string> {
  const { deps } = t.context;
  const [id = ''] = await insertOrders(deps, (await signUp(t.context)).id, 1);
  await claimJob(deps, id);
  return id;
}
