import { asSuperuser, violations } from '../../test/support/audit.ts';
import { claim, drain, ownService, signUp, test } from '../../test/support/context.ts';
import { insertOrders, leaveOneTry } from '../../test/support/orders.ts';

test('nothing is found after operators retried, redrove and cancelled orders', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const ids = await insertOrders(deps, (await signUp(service)).id, 4);
  const [failed = '', given_up = '', withdrawn = ''] = ids;
  for (const id of [failed, given_up]) await leaveOneTry(deps, id);
  for (const job of await claim(deps, 'process-order', { batchSize: 2 })) {
    await deps.boss.fail('process-order', [job], { message: 'no' });
  }
  await drain(deps, 'fail-order', { batchSize: 1 });

  await asSuperuser(service, 'SELECT ops.retry_order($1, $2)', [failed, 'mended']);
  await asSuperuser(service, `SELECT ops.redrive('process-order', 10, false, 'mended')`);
  await asSuperuser(service, 'SELECT ops.cancel_order($1, $2)', [withdrawn, 'no longer wanted']);
  const meanwhile = await violations(service);
  await drain(deps, 'process-order', { early: true });
  await drain(deps, 'fail-order');

  t.deepEqual(meanwhile, []);
  t.deepEqual(await violations(service), []);
  const orders = await asSuperuser(service, 'SELECT status FROM orders ORDER BY id');
  t.is(orders.filter(({ status }) => status === 'COMPLETED').length, 3);
  t.is(orders.filter(({ status }) => status === 'CANCELLED').length, 1);
});
