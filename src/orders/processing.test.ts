import type { JobWithMetadata } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Payload } from '../../jobs/queues.ts';
import { sqlStateOf } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import {
  asWorker,
  claim,
  drain,
  lookUp,
  signUp,
  test,
  type Context,
  type TestDeps,
} from '../../test/support/context.ts';
import {
  eventsOf,
  jobOf,
  leaveOneTry,
  preparedOrder,
  deleteJobs,
} from '../../test/support/orders.ts';
import { runBatch } from '../../test/support/workers.ts';
import { createPlacement, placeOrders } from './placement.ts';
import { completeOrders } from './processing.ts';

const REFUSE = "RAISE EXCEPTION 'this one is poison'";

type Service = Pick<Context, 'deps' | 'origin'>;

// Every test is serial: each claims all ready jobs of the one queue in this file's database.

test.serial('a batch of orders is completed by one transaction, jobs and all', async (t) => {
  const { deps } = t.context;
  const ids = await placeMany(t.context, 50);

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(await writesOf(deps, ids), { transactions: 1, written: 150 });
  t.deepEqual(new Set(outcomes), new Set(['completed']));
});

test.serial('a job that was made by hand for an order works as well as its own', async (t) => {
  const { deps } = t.context;
  const [order_id = ''] = await placeMany(t.context, 1);
  const { data } = await jobOf(deps, order_id);
  await deleteJobs(deps, 'process-order');
  await deps.boss.insert('process-order', [{ id: order_id, data }]);

  await drain(deps, 'process-order');

  t.like(await lookUp(deps, order_id), { status: 'COMPLETED', version: 3 });
  t.is((await jobOf(deps, order_id)).state, 'completed');
});

test.serial('one order that cannot be processed holds up none of its neighbours', async (t) => {
  const { deps } = t.context;
  await standInTheWay(deps, 'Poison', 'COMPLETED', REFUSE);
  const user = await signUp(t.context);
  const before = await placeMany(t.context, 5);
  const poison = await user.place({ product_name: 'Poison', amount: 1 });
  const after = await placeMany(t.context, 5);

  const outcomes = await drain(deps, 'process-order');

  t.is(outcomes.filter((outcome) => outcome === 'failed').length, 1);
  for (const id of [...before, ...after]) {
    t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
    t.is((await jobOf(deps, id)).retryCount, 0);
  }
  t.deepEqual(await lookUp(deps, poison), { status: 'PENDING', version: 1, job: 'retry' });
  t.regex(JSON.stringify((await jobOf(deps, poison)).output), /this one is poison/);
});

test.serial(
  'an order of an account whose id was typed by hand is processed like any other',
  async (t) => {
    const { deps } = t.context;
    const [neighbour = ''] = await placeMany(t.context, 1);
    const handmade = await placeForHandmadeUser(deps);

    await drain(deps, 'process-order');

    t.like(await lookUp(deps, neighbour), { status: 'COMPLETED', job: 'completed' });
    t.like(await lookUp(deps, handmade), { status: 'COMPLETED', job: 'completed' });
  },
);

test.serial('an order whose last try fails becomes FAILED, and the trail says why', async (t) => {
  const { deps } = t.context;
  await standInTheWay(deps, 'Hopeless', 'COMPLETED', REFUSE);
  const user = await signUp(t.context);
  const id = await user.place({ product_name: 'Hopeless', amount: 1 });
  await leaveOneTry(deps, id);

  await drain(deps, 'process-order');
  const exhausted = await lookUp(deps, id);
  const outcomes = await drain(deps, 'fail-order');

  t.deepEqual(exhausted, { status: 'PENDING', version: 1, job: 'failed' });
  t.deepEqual(outcomes, ['completed']);
  const events = await eventsOf(deps, id);
  t.deepEqual(
    events.map(({ to_status }) => to_status),
    ['PENDING', 'PROCESSING', 'FAILED'],
  );
  t.regex(events.at(-1)?.actor ?? '', /^worker:/);
  t.regex(events.at(-1)?.reason ?? '', /^Gave up after 1 try: .*this one is poison/);
});

test.serial(
  'of several orders to be set FAILED, one that cannot be holds up no other',
  async (t) => {
    const { deps } = t.context;
    await standInTheWay(deps, 'Immortal', 'FAILED', REFUSE);
    const user = await signUp(t.context);
    const [first, immortal, last] = [
      await user.place(),
      await user.place({ product_name: 'Immortal', amount: 1 }),
      await user.place(),
    ];
    for (const id of [first, immortal, last]) await leaveOneTry(deps, id);
    await giveUp(deps);

    const outcomes = await drain(deps, 'fail-order');

    t.deepEqual(outcomes.sort(), ['completed', 'completed', 'failed']);
    t.is((await lookUp(deps, first)).status, 'FAILED');
    t.is((await lookUp(deps, immortal)).status, 'PENDING');
    t.is((await lookUp(deps, last)).status, 'FAILED');
  },
);

test.serial('an order that is cancelled after its last try stays CANCELLED', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const id = await user.place();
  await leaveOneTry(deps, id);
  await giveUp(deps);

  await user.request('PUT', `/orders/${id}/cancellation`);
  const outcomes = await drain(deps, 'fail-order');

  t.deepEqual(outcomes, ['completed']);
  t.is((await lookUp(deps, id)).status, 'CANCELLED');
});

test.serial(
  'an order that is cancelled after a worker has claimed it is not processed',
  async (t) => {
    const { deps } = t.context;
    const user = await signUp(t.context);
    const neighbours = await placeMany(t.context, 5);
    const id = await user.place();
    const jobs = await claim(deps, 'process-order');

    const cancelled = await user.request('PUT', `/orders/${id}/cancellation`);
    await runBatch(asWorker(deps), 'process-order', jobs);

    t.is(cancelled.status, 200);
    t.is(jobs.length, 6);
    t.deepEqual(await lookUp(deps, id), { status: 'CANCELLED', version: 2, job: 'cancelled' });
    for (const neighbour of neighbours) {
      t.like(await lookUp(deps, neighbour), { status: 'COMPLETED', job: 'completed' });
    }
  },
);

test.serial('of 200 cancelled orders, 200 stay CANCELLED', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const ids = await placeMany(t.context, 200, user.id);
  const early = await claim(deps, 'process-order', { batchSize: 100 });

  const replies = await Promise.all(
    ids.map((id) => user.request('PUT', `/orders/${id}/cancellation`)),
  );
  await runBatch(asWorker(deps), 'process-order', early);
  const late = await drain(deps, 'process-order');

  t.is(early.length, 100);
  t.true(replies.every(({ status }) => status === 200));
  t.deepEqual(late, []);
  const Row = z.object({ status: z.string(), count: z.number() });
  const byStatus = await deps.pool.any(sql.type(Row)`
    SELECT status, count(*)::int FROM orders WHERE user_id = ${user.id} GROUP BY status
  `);
  t.deepEqual(byStatus, [{ status: 'CANCELLED', count: 200 }]);
});

test.serial(
  'whether cancelled or completed, an order that both wanted is only ever one',
  async (t) => {
    const { deps } = t.context;
    const user = await signUp(t.context);
    const ids = await placeMany(t.context, 40, user.id);
    const jobs = await claim(deps, 'process-order');

    const [replies] = await Promise.all([
      Promise.all(ids.map((id) => user.request('PUT', `/orders/${id}/cancellation`))),
      runBatch(asWorker(deps), 'process-order', jobs),
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

test.serial('a worker that has lost its claim leaves no trace', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await placeMany(t.context, 1);
  const jobs = await claimOrders(deps);
  await deps.boss.fail('process-order', id, { message: 'heartbeat lost' });

  const results = await completeOrders(asWorker(deps), jobs);
  await deps.boss.complete('process-order', jobs);

  t.is(results[0]?.status, 'failed');
  t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'retry' });
  t.is((await eventsOf(deps, id)).length, 1);
});

test.serial(
  'when two workers hold one order, the one that claimed it last completes it',
  async (t) => {
    const { deps } = t.context;
    const [id = '', neighbour = ''] = await placeMany(t.context, 2);
    const zombie = await claimOrders(deps);
    await deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
    const taken = await claimOrders(deps, true);

    const late = await completeOrders(asWorker(deps), zombie);
    const between = await lookUp(deps, id);
    const now = await completeOrders(asWorker(deps), taken);
    await completeOrders(asWorker(deps), zombie);

    t.deepEqual(
      taken.map((job) => job.id),
      [id],
    );
    t.deepEqual(Object.fromEntries(late.map((result) => [result.id, result.status])), {
      [id]: 'failed',
      [neighbour]: 'completed',
    });
    t.deepEqual(between, { status: 'PENDING', version: 1, job: 'active' });
    t.is(now[0]?.status, 'completed');
    t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
    t.deepEqual(await lookUp(deps, neighbour), {
      status: 'COMPLETED',
      version: 3,
      job: 'completed',
    });
  },
);

test.serial('processing an order again changes nothing', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await placeMany(t.context, 1);
  const jobs = await claimOrders(deps);
  await completeOrders(asWorker(deps), jobs);

  const again = await completeOrders(asWorker(deps), jobs);

  t.deepEqual(again, [{ id, status: 'completed' }]);
  t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
});

test.serial('an order that an operator left PROCESSING is completed by its job', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await placeMany(t.context, 1);
  await deps.pool.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);

  await drain(deps, 'process-order');

  t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
});

test.serial('a job that carries nonsense is given up at once and harms nobody', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await placeMany(t.context, 1);
  const nonsense = preparedOrder('').id;
  await deps.boss.insert('process-order', [{ id: nonsense, data: { order_id: 'none' } }]);

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(outcomes.sort(), ['completed', 'deadletter']);
  t.is((await jobOf(deps, nonsense)).state, 'failed');
  t.is((await jobOf(deps, nonsense)).retryCount, 0);
  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test.serial('a job whose order does not exist is done with and harms nobody', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await placeMany(t.context, 1);
  const orphan = preparedOrder('').id;
  await deps.boss.insert('process-order', [
    { id: orphan, data: { order_id: orphan, xact_id: '1' } },
  ]);

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(outcomes, ['completed', 'completed']);
  t.is((await jobOf(deps, orphan)).state, 'completed');
  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test.serial('when it is the database that fails, the batch is not picked apart', async (t) => {
  const { deps } = t.context;
  await standInTheWay(
    deps,
    'Unlucky',
    'COMPLETED',
    'PERFORM pg_terminate_backend(pg_backend_pid())',
  );
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Unlucky', amount: 1 })];
  const jobs = await claim(deps, 'process-order');

  const error = await t.throwsAsync(runBatch(asWorker(deps), 'process-order', jobs));

  t.is(sqlStateOf(error), '57P01');
  for (const id of ids) {
    t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'active' });
  }
});

test.afterEach.always('nothing is left for the next test', async (t) => {
  for (const queue of ['process-order', 'fail-order'] as const)
    await deleteJobs(t.context.deps, queue);
});

async function placeMany(service: Service, count: number, userId?: string): Promise<string[]> {
  const user_id = userId ?? (await signUp(service)).id;
  const orders = Array.from({ length: count }, () => preparedOrder(user_id));
  await placeOrders(
    service.deps,
    orders.map((order) => createPlacement(order)),
  );
  return orders.map(({ id }) => id);
}

/** How much was written of these orders since they were placed, and by how many transactions. */
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

async function claimOrders(deps: TestDeps, early = false) {
  return (await claim(deps, 'process-order', { early })) as JobWithMetadata<
    Payload<'process-order'>
  >[];
}

/** Fails all ready jobs, as if a worker had tried them. */
async function giveUp(deps: TestDeps): Promise<void> {
  const jobs = await claim(deps, 'process-order');
  await deps.boss.fail('process-order', jobs, { message: 'given up by the test' });
}

/** Places an order for an account whose id is not a uuid of any version. */
async function placeForHandmadeUser({ pool }: Deps): Promise<string> {
  const userId = '00000000-0000-0000-0000-000000000007';
  await pool.query(sql.unsafe`
    INSERT INTO users (id, name, email, password_hash)
    VALUES (${userId}, 'Handmade', 'handmade@example.test', 'none')
  `);
  const Row = z.object({ id: z.uuid() });
  return (await pool.one(sql.type(Row)`SELECT place_order(${userId}, 'Kettle', 34.90) AS id`)).id;
}

/** From now on, runs plpgsql before an order of this name reaches this status. */
async function standInTheWay({ pool }: Deps, name: string, status: string, plpgsql: string) {
  const obstacle = sql.identifier([`orders_99_${name.toLowerCase()}`]);
  const body = sql.literalValue(`BEGIN ${plpgsql}; RETURN NEW; END`);
  await pool.query(sql.unsafe`
    CREATE FUNCTION ${obstacle}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS ${body}
  `);
  await pool.query(sql.unsafe`
    CREATE TRIGGER ${obstacle} BEFORE UPDATE ON orders FOR EACH ROW
      WHEN (NEW.product_name = ${sql.literalValue(name)} AND NEW.status = ${sql.literalValue(status)})
      EXECUTE FUNCTION ${obstacle}()
  `);
}
