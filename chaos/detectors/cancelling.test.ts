import { randomUUID } from 'node:crypto';
import { signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';

const orderAndJob = `
  SELECT o.status::text, j.state::text AS job
  FROM orders AS o JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
  WHERE o.id = $1`;

test('an order whose cancellation is answered with 200 is cancelled', async (t) => {
  const user = await signUp(t.context);
  const { value } = await connectDba(t, t.context, 'postgres');
  const id = await user.place();

  const key = { 'idempotency-key': `"${randomUUID()}"` };
  const reply = await user.request('PUT', `/orders/${id}/cancellation`, undefined, key);

  t.is(reply.status, 200);
  t.is(await value('SELECT status::text FROM orders WHERE id = $1', [id]), 'CANCELLED');
});

test('a cancelled order has no job that a worker could take', async (t) => {
  const user = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, 'postgres');
  const id = await user.place();

  await user.request('PUT', `/orders/${id}/cancellation`);

  t.deepEqual(await rows(orderAndJob, [id]), [{ status: 'CANCELLED', job: 'cancelled' }]);
});

test('an order that is being taken at the same moment cannot be cancelled', async (t) => {
  const user = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, 'postgres');
  const id = await user.place();
  await rows('BEGIN');
  await rows(`UPDATE orders SET status = 'PROCESSING' WHERE id = $1`, [id]);

  const cancelling = user.request('PUT', `/orders/${id}/cancellation`);
  await whenWaiting(rows);
  await rows('COMMIT');

  t.like(await cancelling, { status: 409, body: { type: '/problems/order-not-cancellable' } });
});

test.serial('an order that has ended cannot be cancelled', async (t) => {
  const user = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, 'postgres');
  const id = await user.place();
  await rows(`SELECT order_ids FROM process_orders(1000, 'host:1')`);

  const reply = await user.request('PUT', `/orders/${id}/cancellation`);

  t.like(reply, { status: 409, body: { type: '/problems/order-not-cancellable' } });
});

/** Until another session of this database waits for a lock. */
async function whenWaiting(rows: (text: string) => Promise<unknown[]>): Promise<void> {
  for (let looks = 0; looks < 500; looks += 1) {
    const waiting = await rows(`
      SELECT pg_stat_clear_snapshot(), pid FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`);
    if (waiting.length > 0) return;
    await rows('SELECT pg_sleep(0.01)');
  }
}
