import { signUp, test } from '../../test/support/context.ts';
import { connectDba, exhaustRetries } from '../../test/support/dba.ts';
import { insertOrders } from '../../test/support/orders.ts';

test.serial(
  'each step of an order leaves an event that is chained to the event before',
  async (t) => {
    const { id: userId } = await signUp(t.context);
    const { rows } = await connectDba(t, t.context, 'postgres');
    const [id = ''] = await insertOrders(t.context.deps, userId, 1);

    await rows(`SELECT order_ids FROM process_orders(1000, 'host:1')`);

    t.deepEqual(
      (
        await rows(
          'SELECT to_status::text FROM order_events WHERE order_id = $1 ORDER BY version',
          [id],
        )
      ).map(({ to_status }) => to_status),
      ['PENDING', 'PROCESSING', 'COMPLETED'],
    );
    t.deepEqual(
      await rows('SELECT invariant, evidence FROM audit.violations WHERE order_id = $1', [id]),
      [],
    );
  },
);

test('an order cannot go from PROCESSING to CANCELLED', async (t) => {
  const { id: userId } = await signUp(t.context);
  const { rows, refusal } = await connectDba(t, t.context, 'postgres');
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);
  await rows(`UPDATE orders SET status = 'PROCESSING' WHERE id = $1`, [id]);

  const { code } = await refusal(`UPDATE orders SET status = 'CANCELLED' WHERE id = $1`, [id]);

  t.is(code, 'OM001');
});

test('a person who changes an order by hand cannot name another actor', async (t) => {
  const { id: userId } = await signUp(t.context);
  const { rows, value } = await connectDba(t, t.context, 'postgres');
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);

  await rows(`UPDATE orders SET status = 'CANCELLED', changed_by = 'user:ada' WHERE id = $1`, [id]);

  t.is(
    await value('SELECT actor FROM order_events WHERE order_id = $1 AND version = 2', [id]),
    'role:postgres',
  );
});

test('a person who inserts an order by hand cannot name another actor', async (t) => {
  const { id: userId } = await signUp(t.context);
  const { rows, value } = await connectDba(t, t.context, 'postgres');
  const id = '0199d6a0-0000-7000-8000-000000000001';
  await rows('BEGIN');
  await rows(
    `INSERT INTO orders (id, user_id, product_name, amount, changed_by) VALUES ($1, $2, 'Kettle', 1, 'user:ada')`,
    [id, userId],
  );

  t.is(await value('SELECT actor FROM order_events WHERE order_id = $1', [id]), 'role:postgres');

  await rows('ROLLBACK');
});

test('an order cannot be deleted', async (t) => {
  const { id: userId } = await signUp(t.context);
  const { refusal } = await connectDba(t, t.context, 'postgres');
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);

  const { code } = await refusal('DELETE FROM orders WHERE id = $1', [id]);

  t.is(code, 'OM002');
});

test('the back-off of a dead letter is at most the maximum of its queue', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const { value } = await connectDba(t, t.context, 'postgres');
  const [id = ''] = await insertOrders(deps, userId, 1);

  const letter = await exhaustRetries(deps, id);

  t.is(await value('SELECT retry_delay_max FROM pgboss.job WHERE id = $1', [letter]), 60);
});
