import { sql } from 'slonik';
import { z } from 'zod';
import { asWorker, claim, drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { deleteJobs, insertOrders } from '../../test/support/orders.ts';
import { runClaimedBatch } from '../../test/support/workers.ts';

// Customers cancel orders while a worker claims and processes them.
//
// Every test is serial: each claims all due jobs in this file's database.

test.serial(
  'an order that is cancelled after a worker has claimed it is not processed',
  async (t) => {
    const { deps } = t.context;
    const user = await signUp(t.context);
    const neighbours = await insertOrders(deps, user.id, 5);
    const id = await user.place();
    const jobs = await claim(deps, 'process-order');

    const cancelled = await user.request('PUT', `/orders/${id}/cancellation`);
    await runClaimedBatch(asWorker(deps), 'process-order', jobs);

    t.is(cancelled.status, 200);
    t.is(jobs.length, 6);
    t.deepEqual(await lookUp(deps, id), { status: 'CANCELLED', version: 2, job: 'cancelled' });
    for (const neighbour of neighbours) {
      t.like(await lookUp(deps, neighbour), { status: 'COMPLETED', job: 'completed' });
    }
  },
);

test.serial(
  '200 cancelled orders stay CANCELLED, although half of them were claimed',
  async (t) => {
    const { deps } = t.context;
    const user = await signUp(t.context);
    const ids = await insertOrders(deps, user.id, 200);
    const early = await claim(deps, 'process-order', { batchSize: 100 });

    const replies = await Promise.all(
      ids.map((id) => user.request('PUT', `/orders/${id}/cancellation`)),
    );
    await runClaimedBatch(asWorker(deps), 'process-order', early);
    const late = await drain(deps, 'process-order');

    t.is(early.length, 100);
    t.true(replies.every(({ status }) => status === 200));
    t.deepEqual(late, []);
    const Row = z.object({ status: z.string(), count: z.number() });
    const byStatus = await deps.pool.any(sql.type(Row)`
    SELECT status, count(*)::int FROM orders WHERE user_id = ${user.id} GROUP BY status
  `);
    t.deepEqual(byStatus, [{ status: 'CANCELLED', count: 200 }]);
  },
);

test.serial(
  'an order that is cancelled and completed at the same moment is either CANCELLED or COMPLETED',
  async (t) => {
    const { deps } = t.context;
    const user = await signUp(t.context);
    const ids = await insertOrders(deps, user.id, 40);
    const jobs = await claim(deps, 'process-order');

    const [replies] = await Promise.all([
      Promise.all(ids.map((id) => user.request('PUT', `/orders/${id}/cancellation`))),
      runClaimedBatch(asWorker(deps), 'process-order', jobs),
    ]);

    for (const [index, id] of ids.entries()) {
      const wasCancelled = replies[index]?.status === 200;
      const ended = wasCancelled
        ? { status: 'CANCELLED', version: 2, job: 'cancelled' }
        : { status: 'COMPLETED', version: 3, job: 'completed' };
      t.deepEqual(await lookUp(deps, id), ended);
    }
  },
);

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
});
