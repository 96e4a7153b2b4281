import { sql, UniqueIntegrityConstraintViolationError } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import type { Deps } from '../deps.ts';
import { wakeUpChannel } from '../redis/wake-ups.ts';
import { lookUp, signUp, test, withSettings, type Context } from '../../test/support/context.ts';
import { refuseAtCommit } from '../../test/support/obstacles.ts';
import { insertOrders, preparedOrder } from '../../test/support/orders.ts';
import { subscribe } from '../../test/support/subscribe.ts';
import { until } from '../../test/support/until.ts';
import { createPlacement, placeOrders } from './placement.ts';

// No worker runs in this file's database. So each job stays as it was made.

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

test('an order whose job cannot be stored is not stored, nor is any other order of its batch', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [order, neighbour] = [preparedOrder(userId), preparedOrder(userId)];
  await deps.boss.insert('process-order', [{ id: order.id, data: { order_id: order.id } }]);

  await t.throwsAsync(
    placeOrders(
      deps,
      [order, neighbour].map((each) => createPlacement(each)),
    ),
    { instanceOf: UniqueIntegrityConstraintViolationError },
  );

  t.false(await exists(deps, order.id));
  t.false(await exists(deps, neighbour.id));
  t.false(await hasJob(deps, neighbour.id));
});

test('an order that is placed a second time is refused, and keeps its job', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const order = preparedOrder(userId);
  await placeOrders(deps, [createPlacement(order)]);

  await t.throwsAsync(placeOrders(deps, [createPlacement(order)]), { message: /unique/ });

  t.deepEqual(await lookUp(deps, order.id), { status: 'PENDING', version: 1, job: 'created' });
});

test('an order and its job are rolled back together', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  let placed = '';

  await t.throwsAsync(
    deps.pool.transaction(async (tx) => {
      [placed = ''] = await insertOrders({ pool: tx }, userId, 1);
      throw new Error('rolled back');
    }),
    { message: 'rolled back' },
  );

  t.regex(placed, /^[0-9a-f-]{36}$/);
  t.false(await exists(deps, placed));
  t.false(await hasJob(deps, placed));
});

test('without Redis, an order is placed with its job', async (t) => {
  const service = await withSettings(t, { REDIS_URL: '' });
  const user = await signUp(service);

  const id = await user.place();

  t.is(service.deps.redis, null);
  t.is((await lookUp(service.deps, id)).job, 'created');
});

test('a placed order sends one wake-up', async (t) => {
  const service = await withSettings(t, { REDIS_PREFIX: 'woken' });
  const user = await signUp(service);
  const wakeUps = await wakeUpsOf(t, service.deps);

  await user.place();

  t.deepEqual(await wakeUps.upTo('prune'), ['process-order', 'prune']);
});

test('an order whose commit fails sends no wake-up', async (t) => {
  const service = await withSettings(t, { REDIS_PREFIX: 'refused-at-commit' });
  const user = await signUp(service);
  const wakeUps = await wakeUpsOf(t, service.deps);
  await refuseAtCommit(service.deps, 'Doomed');

  const doomed = await user.request('POST', '/orders', { product_name: 'Doomed', amount: 1 });

  t.is(doomed.status, 500);
  t.deepEqual(await wakeUps.upTo('prune'), ['prune']);
});

test('500 wake-ups at once are sent as at most 2 messages', async (t) => {
  const { deps } = await withSettings(t, { REDIS_PREFIX: 'coalesced' });
  const wakeUps = await wakeUpsOf(t, deps);

  for (let count = 0; count < 500; count += 1) deps.wakeUps.send('process-order');

  const messages = await wakeUps.upTo('prune');
  t.is(messages[0], 'process-order');
  t.true(messages.length <= 3, `${messages.length} messages`);
});

/** The wake-ups that a process sends. `upTo` sends one more, and returns all: the others arrive before it. */
async function wakeUpsOf(
  t: Parameters<typeof withSettings>[0],
  { config, wakeUps }: Pick<Context['deps'], 'config' | 'wakeUps'>,
) {
  const url = config.REDIS_URL ?? '';
  const messages = await subscribe(t, url, wakeUpChannel(config));
  const sent = () => messages.map(([, text]) => text);
  return {
    async upTo(last: QueueName) {
      wakeUps.send(last);
      await until('the last wake-up', () => sent().includes(last));
      return sent();
    },
  };
}

function exists({ pool }: Deps, id: string): Promise<boolean> {
  return pool.exists(sql.unsafe`SELECT FROM orders WHERE id = ${id}`);
}

function hasJob({ pool }: Deps, id: string): Promise<boolean> {
  return pool.exists(sql.unsafe`SELECT FROM pgboss.job WHERE id = ${id}`);
}
