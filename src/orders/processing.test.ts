import { sql } from 'slonik';
import { z } from 'zod';
import { asWorker, claim, drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { beforeStatus, REFUSE } from '../../test/support/obstacles.ts';
import { deleteJobs, insertOrders, jobOf, preparedOrder } from '../../test/support/orders.ts';
import { runClaimedBatch } from '../../test/support/workers.ts';
import { sqlStateOf } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { completeOrders, type OrderJob } from './processing.ts';

// Every test is serial: each claims all due jobs in this file's database.

test.serial('a batch of orders and their jobs is completed by one transaction', async (t) => {
  const { deps } = t.context;
  const ids = await insertOrders(deps, (await signUp(t.context)).id, 50);

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(await writesOf(deps, ids), { transactions: 1, written: 150 });
  t.deepEqual(new Set(outcomes), new Set(['completed']));
});

test.serial('a job that was made by hand for an order is processed like any other', async (t) => {
  const { deps } = t.context;
  const order_id = await (await signUp(t.context)).place();
  const { data } = await jobOf(deps, order_id);
  await deleteJobs(deps, 'process-order');
  await deps.boss.insert('process-order', [{ id: order_id, data }]);

  await drain(deps, 'process-order');

  t.deepEqual(await lookUp(deps, order_id), { status: 'COMPLETED', version: 3, job: 'completed' });
});

test.serial('an order that cannot be completed does not affect the others', async (t) => {
  const { deps } = t.context;
  await beforeStatus(deps, 'Poison', 'COMPLETED', REFUSE);
  const user = await signUp(t.context);
  const before = await insertOrders(deps, user.id, 5);
  const poison = await user.place({ product_name: 'Poison', amount: 1 });
  const after = await insertOrders(deps, user.id, 5);

  const outcomes = await drain(deps, 'process-order');

  t.is(outcomes.filter((outcome) => outcome === 'failed').length, 1);
  for (const id of [...before, ...after]) {
    t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
    t.is((await jobOf(deps, id)).retryCount, 0);
  }
  t.deepEqual(await lookUp(deps, poison), { status: 'PENDING', version: 1, job: 'retry' });
  t.regex(JSON.stringify((await jobOf(deps, poison)).output), /this one is poison/);
});

test.serial('an order of a user with a handmade id is processed like any other', async (t) => {
  const { deps } = t.context;
  const neighbour = await (await signUp(t.context)).place();
  const handmade = await placeForHandmadeUser(deps);

  await drain(deps, 'process-order');

  t.like(await lookUp(deps, neighbour), { status: 'COMPLETED', job: 'completed' });
  t.like(await lookUp(deps, handmade), { status: 'COMPLETED', job: 'completed' });
});

test.serial('processing an order again changes nothing', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const jobs = (await claim(deps, 'process-order')) as OrderJob[];
  await completeOrders(asWorker(deps), jobs);

  const again = await completeOrders(asWorker(deps), jobs);

  t.deepEqual(again, [{ id, status: 'completed' }]);
  t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
});

test.serial(
  'an order that an operator has set to PROCESSING is completed by its job',
  async (t) => {
    const { deps } = t.context;
    const id = await (await signUp(t.context)).place();
    await deps.pool.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);

    await drain(deps, 'process-order');

    t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
  },
);

test.serial(
  'a job with a malformed payload fails at once, and another order is completed',
  async (t) => {
    const { deps } = t.context;
    const id = await (await signUp(t.context)).place();
    const malformed = preparedOrder('').id;
    await deps.boss.insert('process-order', [{ id: malformed, data: { order_id: 'none' } }]);

    const outcomes = await drain(deps, 'process-order');

    t.deepEqual(outcomes.sort(), ['completed', 'deadletter']);
    t.is((await jobOf(deps, malformed)).state, 'failed');
    t.is((await jobOf(deps, malformed)).retryCount, 0);
    t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
  },
);

test.serial('a job whose order does not exist is completed, and so is another order', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const orphan = preparedOrder('').id;
  await deps.boss.insert('process-order', [
    { id: orphan, data: { order_id: orphan, xact_id: '1' } },
  ]);

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(outcomes, ['completed', 'completed']);
  t.is((await jobOf(deps, orphan)).state, 'completed');
  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test.serial('when the connection is lost, the whole batch fails and changes nothing', async (t) => {
  const { deps } = t.context;
  const disconnect = 'PERFORM pg_terminate_backend(pg_backend_pid())';
  await beforeStatus(deps, 'Unlucky', 'COMPLETED', disconnect);
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Unlucky', amount: 1 })];
  const jobs = await claim(deps, 'process-order');

  const error = await t.throwsAsync(runClaimedBatch(asWorker(deps), 'process-order', jobs));

  t.is(sqlStateOf(error), '57P01');
  for (const id of ids) {
    t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'active' });
  }
});

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
});

/** How many rows were written for these orders after they were placed, and by how many transactions. */
function writesOf({ pool }: Deps, ids: string[]) {
  const Row = z.object({ transactions: z.number(), written: z.number() });
  return pool.one(sql.type(Row)`
    SELECT count(DISTINCT x)::int AS transactions, count(*)::int AS written
    FROM (
      SELECT e.xmin::text AS x FROM order_events AS e
      WHERE e.order_id = ANY(${sql.array(ids, 'uuid')}) AND e.to_status <> 'PENDING'
      UNION ALL
      SELECT j.xmin::text FROM pgboss.job AS j
      WHERE j.id = ANY(${sql.array(ids, 'uuid')}) AND j.state = 'completed'
    ) AS writes
  `);
}

/** Places an order for a user whose id is not a UUID of any version. */
async function placeForHandmadeUser({ pool }: Deps): Promise<string> {
  const userId = '00000000-0000-0000-0000-000000000007';
  await pool.query(sql.unsafe`
    INSERT INTO users (id, name, email, password_hash)
    VALUES (${userId}, 'Handmade', 'handmade@example.test', 'none')
  `);
  const Row = z.object({ id: z.uuid() });
  return (await pool.one(sql.type(Row)`SELECT place_order(${userId}, 'Kettle', 34.90) AS id`)).id;
}
