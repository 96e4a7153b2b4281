import { randomUUID } from 'node:crypto';
import { lookUp, signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';

test('an order is cancelled when the reply to its cancellation is 200', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  const key = { 'idempotency-key': `"${randomUUID()}"` };
  const reply = await user.request('PUT', `/orders/${id}/cancellation`, undefined, key);

  t.is(reply.status, 200);
  t.is((await lookUp(t.context.deps, id)).status, 'CANCELLED');
});

test('the job of a cancelled order is cancelled', async (t) => {
  const user = await signUp(t.context);
  const id = await user.place();

  await user.request('PUT', `/orders/${id}/cancellation`);

  t.like(await lookUp(t.context.deps, id), { status: 'CANCELLED', job: 'cancelled' });
});

test('an order cannot be cancelled while another transaction takes it', async (t) => {
  const user = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, 'postgres');
  const id = await user.place();
  await rows('BEGIN');
  await rows(`UPDATE orders SET status = 'PROCESSING' WHERE id = $1`, [id]);

  const cancelling = user.request('PUT', `/orders/${id}/cancellation`);
  await untilOneWaits(rows);
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

/** Resolves when another session of this database waits for a lock, or after 500 polls. */
async function untilOneWaits(rows: (text: string) => Promise<unknown[]>): Promise<void> {
  for (let polls = 0; polls < 500; polls += 1) {
    const waiting = await rows(`
      SELECT pg_stat_clear_snapshot(), pid FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`);
    if (waiting.length > 0) return;
    await rows('SELECT pg_sleep(0.01)');
  }
}
