import { sql } from 'slonik';
import { z } from 'zod';
import { enqueue, JobNotCreated } from '../db/boss.ts';
import type { Deps } from '../deps.ts';
import { statusChannel, wakeChannel } from '../redis/hints.ts';
import { lookUp, signUp, test, withSettings, type Context } from '../testing/context.ts';
import { preparedOrder } from '../testing/orders.ts';
import { subscribe } from '../testing/subscribe.ts';
import { until } from '../testing/until.ts';
import { placeOrders } from './orders.ts';

// Nobody works in this file's database, so each job stays as it was enqueued.

test('an order and its job are committed by the same transaction', async (t) => {
  const user = await signUp(t.context);

  const id = await user.place();

  const Row = z.object({ same: z.boolean(), data: z.object({ order_id: z.string() }) });
  const { same, data } = await t.context.deps.pool.one(sql.type(Row)`
    SELECT o.xmin = j.xmin AND o.xmin = e.xmin AS same, j.data
    FROM orders AS o
    JOIN order_events AS e ON e.order_id = o.id
    JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id
    WHERE o.id = ${id}
  `);
  t.true(same);
  t.deepEqual(data, { order_id: id });
});

test('an order is not stored when its job is not created', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [order, neighbour] = [preparedOrder(userId), preparedOrder(userId)];
  await enqueueAlone(deps, order.id);

  const error = await t.throwsAsync(placeOrders(deps, [order, neighbour]), {
    instanceOf: JobNotCreated,
  });

  t.true(error.message.includes(order.id));
  t.false(error.message.includes(neighbour.id));
  t.false(await exists(deps, order.id));
  t.false(await exists(deps, neighbour.id));
  t.false(await hasJob(deps, neighbour.id));
});

test('an order that is placed twice is refused the second time and keeps its one job', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const order = preparedOrder(userId);
  await placeOrders(deps, [order]);

  await t.throwsAsync(placeOrders(deps, [order]), { message: /unique/ });

  t.deepEqual(await lookUp(deps, order.id), { status: 'PENDING', version: 1, job: 'created' });
});

test('a job disappears with the transaction that enqueued it', async (t) => {
  const { boss, pool } = t.context.deps;
  const { id } = preparedOrder('');

  await t.throwsAsync(
    pool.transaction(async (tx) => {
      await enqueue(boss, tx, 'process-order', [{ id, data: { order_id: id } }]);
      throw new Error('rolled back');
    }),
    { message: 'rolled back' },
  );

  t.false(await hasJob(t.context.deps, id));
});

test('an order is placed with its job while Redis is not there at all', async (t) => {
  const service = await withSettings(t, { REDIS_URL: '' });
  const user = await signUp(service);

  const id = await user.place();

  t.is(service.deps.redis, null);
  t.is((await lookUp(service.deps, id)).job, 'created');
});

test('a placed order wakes the workers and is announced, each once', async (t) => {
  const service = await withSettings(t, { REDIS_PREFIX: 'announced' });
  const user = await signUp(service);
  const { messages, wakes, changes } = await hintsOf(t, service.deps);

  const id = await user.place();
  await until('both messages', () => messages.length >= 2);

  t.deepEqual(wakes(), ['process-order']);
  t.deepEqual(changes(), [{ id, status: 'PENDING', version: 1 }]);
});

test('an order whose commit fails is neither announced nor does it wake anybody', async (t) => {
  const service = await withSettings(t, { REDIS_PREFIX: 'refused-at-commit' });
  const user = await signUp(service);
  const { messages, wakes, changes } = await hintsOf(t, service.deps);
  await refuseAtCommit(service.deps, 'Doomed');

  const doomed = await user.request('POST', '/orders', { product_name: 'Doomed', amount: 1 });
  const id = await user.place();
  await until('both messages', () => messages.length >= 2);

  t.is(doomed.status, 500);
  t.deepEqual(wakes(), ['process-order']);
  t.deepEqual(changes(), [{ id, status: 'PENDING', version: 1 }]);
});

test('hints that come faster than they can be published travel together', async (t) => {
  const { deps } = await withSettings(t, { REDIS_PREFIX: 'coalesced' });
  const { messages, wakes, changes } = await hintsOf(t, deps);
  const orders = Array.from({ length: 500 }, (_, version) => ({
    id: `${version}`,
    status: 'PENDING',
    version,
  }));

  for (const order of orders) {
    deps.hints.wake('process-order');
    deps.hints.announce([order]);
  }
  await until('the last one', () => changes().length >= orders.length);

  t.deepEqual(changes(), orders);
  t.true(wakes().length <= 2, `${wakes().length} wake-ups`);
  t.true(messages.length <= 4, `${messages.length} messages`);
});

async function hintsOf(t: Parameters<typeof withSettings>[0], { config }: Context['deps']) {
  const url = config.REDIS_URL ?? '';
  const messages = await subscribe(t, url, wakeChannel(config), statusChannel(config));
  const on = (wanted: string) =>
    messages.filter(([channel]) => channel === wanted).map(([, text]) => text);
  const wakes = () => on(wakeChannel(config));
  const changes = () =>
    on(statusChannel(config)).flatMap((text) => JSON.parse(text) as Record<string, unknown>[]);
  return { messages, wakes, changes };
}

/** Lets everything succeed up to the COMMIT of an order with this name, and refuses that. */
async function refuseAtCommit({ pool }: Deps, name: string): Promise<void> {
  await pool.query(sql.unsafe`
    CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused at commit'; END $$
  `);
  await pool.query(sql.unsafe`
    CREATE CONSTRAINT TRIGGER orders_99_refuse_at_commit AFTER INSERT ON orders
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN (NEW.product_name = ${sql.literalValue(name)}) EXECUTE FUNCTION refuse_at_commit()
  `);
}

async function enqueueAlone({ boss, pool }: Deps, id: string): Promise<void> {
  await pool.transaction((tx) =>
    enqueue(boss, tx, 'process-order', [{ id, data: { order_id: id } }]),
  );
}

function exists({ pool }: Deps, id: string): Promise<boolean> {
  return pool.exists(sql.unsafe`SELECT FROM orders WHERE id = ${id}`);
}

function hasJob({ pool }: Deps, id: string): Promise<boolean> {
  return pool.exists(sql.unsafe`SELECT FROM pgboss.job WHERE id = ${id}`);
}
