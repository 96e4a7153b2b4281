import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql, type DatabasePool } from 'slonik';
import { createQueue } from '../../src/queue/boss.ts';
import { openPool } from '../../src/db/pool.ts';
import { asRole, type ServiceRole } from '../../src/db/roles.ts';
import type { WorkerDeps } from '../../src/deps.ts';
import { claim, signUp, test, type Context } from '../support/context.ts';
import { FULFILMENT_SECRET, openFulfilment, status } from '../support/fulfilment.ts';
import { keyedRequest } from '../support/idempotency.ts';
import { insertOrders, preparedOrder } from '../support/orders.ts';
import { openWire, type Wire } from '../support/wire.ts';
import { cancelOrder } from '../../src/orders/cancellation.ts';
import { createFulfilment } from '../../src/orders/fulfilment.ts';
import { createPlacement, placeOrders, type Placement } from '../../src/orders/placement.ts';
import { completeOrders, processOrders, type OrderJob } from '../../src/orders/processing.ts';
import { createSettlement } from '../../src/orders/settlement.ts';

// Each step of an order is one round trip to Postgres, and its statement is parsed once for each connection. The tests
// count the messages on one connection.

const FIRST_TIME = { trips: 1, parses: 1, binds: 1 };
const LATER = { trips: 1, parses: 0, binds: 1 };

// Serial, because a worker's steps claim all ready jobs in this file's database.

for (const [what, count, keyed] of [
  ['one order', 1, false],
  ['50 orders', 50, false],
  ['one order with a key', 1, true],
  ['50 orders with keys', 50, true],
] as const) {
  test.serial(`placing ${what} is one round trip`, async (t) => {
    const { pool, wire } = await connectAs(t, 'oms_api');
    const { id: userId } = await signUp(t.context);
    const batch = (): Placement[] =>
      Array.from({ length: count }, () =>
        createPlacement(
          preparedOrder(userId),
          keyed ? keyedRequest(userId, randomUUID()) : undefined,
        ),
      );
    const place = () => placeOrders({ ...t.context.deps, pool }, batch());

    t.deepEqual([await wire.during(place), await wire.during(place)], [FIRST_TIME, LATER]);
  });
}

test.serial(
  'placing a batch in which some orders have keys is one round trip, also when one is a replay',
  async (t) => {
    const { pool, wire } = await connectAs(t, 'oms_api');
    const { id: userId } = await signUp(t.context);
    const place = () =>
      placeOrders({ ...t.context.deps, pool }, [
        createPlacement(preparedOrder(userId)),
        createPlacement(preparedOrder(userId), keyedRequest(userId, 'k')),
      ]);

    t.deepEqual([await wire.during(place), await wire.during(place)], [FIRST_TIME, LATER]);
  },
);

for (const keyed of [false, true]) {
  test.serial(
    `cancelling an order ${keyed ? 'with' : 'without'} a key is one round trip`,
    async (t) => {
      const { pool, wire } = await connectAs(t, 'oms_api');
      const user = await signUp(t.context);
      const [id = '', other = ''] = await insertOrders(t.context.deps, user.id, 2);
      const cancel = (orderId: string) => () =>
        cancelOrder(
          { ...t.context.deps, pool },
          user.id,
          orderId,
          keyed ? { ...keyedRequest(user.id, orderId), method: 'PUT' } : undefined,
        );

      const traffic = [
        await wire.during(cancel(id)),
        await wire.during(cancel(other)),
        await wire.during(cancel(other)), // cancelled already, or a replay
      ];

      t.deepEqual(traffic, [FIRST_TIME, LATER, LATER]);
    },
  );
}

test.serial('claiming a batch of jobs is one round trip', async (t) => {
  const wire = await openWire(t, asRole(t.context.deps.config.DATABASE_URL, 'oms_worker'));
  const config = { DATABASE_URL: wire.url, QUEUE_POOL_SIZE_MAX: 1 };
  const { boss, close } = createQueue(config, t.context.deps.log, { supervise: false });
  await boss.start();
  t.teardown(() => close(0));
  const fetch = (): Promise<unknown[]> => boss.fetch('process-order', { batchSize: 2 });
  await fetch();
  await placeFor(t, 4);

  t.deepEqual([await wire.during(fetch), await wire.during(fetch)], [LATER, LATER]);
});

test.serial('completing a batch of claimed orders is one round trip', async (t) => {
  const { deps, wire } = await workerOnWire(t);
  const [jobs, others] = [await claimed(t, 20), await claimed(t, 20)];

  const traffic = [
    await wire.during(() => completeOrders(deps, jobs)),
    await wire.during(() => completeOrders(deps, others)),
  ];

  t.deepEqual(traffic, [FIRST_TIME, LATER]);
});

test.serial('processing a batch of orders without a claim is one round trip', async (t) => {
  const { deps, wire } = await workerOnWire(t);
  await placeFor(t, 40);
  const processed: number[] = [];
  const process = async () => processed.push((await processOrders(deps, 20)).order_ids.length);

  t.deepEqual([await wire.during(process), await wire.during(process)], [FIRST_TIME, LATER]);
  t.deepEqual(processed, [20, 20]);
});

test.serial('taking a batch of orders for their external step is one round trip', async (t) => {
  const { deps, wire } = await workerOnWire(t);
  const jobs = await claimed(t, 10);
  const stopping = new AbortController();
  stopping.abort(); // the worker makes no calls, so it settles nothing
  for (const job of jobs) job.signal = stopping.signal;
  const { url, calls } = await openFulfilment(t, status(200));
  const config = { ...deps.config, FULFILMENT_URL: url, FULFILMENT_SECRET };
  const take = () => createFulfilment({ ...deps, config })(jobs, () => undefined);

  t.deepEqual([await wire.during(take), await wire.during(take)], [FIRST_TIME, LATER]);
  t.is(calls.length, 0);
});

test.serial('settling a batch of different answers is one round trip', async (t) => {
  const { deps, wire } = await workerOnWire(t);
  const settlement = createSettlement(deps);
  const [jobs, others] = [await claimed(t, 10), await claimed(t, 10)];
  const settle = (some: OrderJob[]) => () =>
    Promise.all(
      some.map((job, index) =>
        settlement.end(
          job,
          index % 2 === 0 ? { status: 'COMPLETED' } : { status: 'FAILED', reason: 'out of stock' },
        ),
      ),
    );

  t.deepEqual(
    [await wire.during(settle(jobs)), await wire.during(settle(others))],
    [FIRST_TIME, LATER],
  );
});

/** A connected pool of one connection, in a role. */
async function connectAs(
  t: ExecutionContext<Context>,
  role: ServiceRole,
): Promise<{ pool: DatabasePool; wire: Wire }> {
  const { config, log } = t.context.deps;
  const wire = await openWire(t, asRole(config.DATABASE_URL, role));
  const pool = await openPool({ DATABASE_URL: wire.url, POOL_SIZE_MAX: 1 }, log);
  t.teardown(() => pool.end());
  await pool.query(sql.unsafe`SELECT 1`);
  return { pool, wire };
}

async function workerOnWire(
  t: ExecutionContext<Context>,
): Promise<{ deps: WorkerDeps; wire: Wire }> {
  const { pool, wire } = await connectAs(t, 'oms_worker');
  return { deps: { ...t.context.deps, pool }, wire };
}

async function placeFor(t: ExecutionContext<Context>, count: number): Promise<void> {
  await insertOrders(t.context.deps, (await signUp(t.context)).id, count);
}

/** Claims the jobs of new orders, and only those: the jobs of earlier tests are claimed first. */
async function claimed(t: ExecutionContext<Context>, count: number): Promise<OrderJob[]> {
  await claim(t.context.deps, 'process-order', { batchSize: 1000 });
  await placeFor(t, count);
  return (await claim(t.context.deps, 'process-order', {
    batchSize: 1000,
  })) as unknown as OrderJob[];
}
