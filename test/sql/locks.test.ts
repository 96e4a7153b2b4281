import { drain, lookUp, signUp, test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { insertOrders } from '../support/orders.ts';

test('an order that stays locked is retried alone, and the others of its batch are completed', async (t) => {
  const { deps } = t.context;
  const [locked = '', ...others] = await insertOrders(deps, (await signUp(t.context)).id, 4);

  const { rows } = await connectDba(t, t.context, 'postgres');

  await rows('BEGIN');
  await rows('SELECT FROM orders WHERE id = $1 FOR UPDATE', [locked]);
  const outcomes = await drain(deps, 'process-order');
  await rows('COMMIT');

  t.is(outcomes.filter((outcome) => outcome === 'failed').length, 1);
  for (const id of others) t.like(await lookUp(deps, id), { status: 'COMPLETED' });
  t.deepEqual(await lookUp(deps, locked), { status: 'PENDING', version: 1, job: 'retry' });
  await drain(deps, 'process-order', { early: true });
  t.like(await lookUp(deps, locked), { status: 'COMPLETED' });
});
