import { sql } from 'slonik';
import type { Deps } from '../../src/deps.ts';
import { drain, ownService, signUp, test } from '../support/context.ts';
import { claimJob, connectDba, exhaustRetries, failOrder } from '../support/dba.ts';
import { jobOf } from '../support/orders.ts';

// Views are read with the rights of a read-only role.
const READER = 'oms_dba_read';

test('ops.stuck_orders shows open orders without progress whose job waits, is active or has failed', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const [waiting, running, exhausted, fresh, done] = await Promise.all(
    Array.from({ length: 5 }, () => user.place()),
  );
  await claimJob(deps, running ?? '');
  await exhaustRetries(deps, exhausted ?? '', 'out of stock');
  await failOrder(deps, done ?? '');
  for (const id of [waiting, running, exhausted, done]) await age(deps, id ?? '');
  const dba = await connectDba(t, service, READER);

  const rows = await dba.rows(
    'SELECT order_id, status, job_state, job_error FROM ops.stuck_orders',
  );
  const byOrder = new Map(rows.map((row) => [row.order_id, row]));

  t.is(byOrder.size, 3);
  t.true([waiting, running, exhausted].every((id) => byOrder.has(id)));
  t.like(byOrder.get(running), { status: 'PENDING', job_state: 'active' });
  t.like(byOrder.get(exhausted), { job_state: 'failed', job_error: 'out of stock' });
  t.false(byOrder.has(fresh));
});

test('ops.order_timeline shows each step with its job, attempt and transaction', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const id = await (await signUp(service)).place();
  await drain(deps, 'process-order');
  const dba = await connectDba(t, service, READER);

  const steps = await dba.rows('SELECT * FROM ops.order_timeline WHERE order_id = $1', [id]);

  t.deepEqual(
    steps.map(({ step, job_id, attempt }) => [step, job_id, attempt]),
    [
      ['PENDING', null, null],
      ['PENDING -> PROCESSING', id, 1],
      ['PROCESSING -> COMPLETED', id, 1],
    ],
  );
  t.is(steps[1]?.xact_id, steps[2]?.xact_id);
  t.not(steps[0]?.xact_id, steps[1]?.xact_id);
  t.is((await jobOf(deps, id)).state, 'completed');
});

/** Sets the last change of an order to ten minutes ago. */
async function age({ pool }: Deps, id: string): Promise<void> {
  await pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SET LOCAL session_replication_role = replica`);
    await tx.query(sql.unsafe`
      UPDATE orders SET updated_at = now() - interval '10 minutes' WHERE id = ${id}
    `);
  });
}
