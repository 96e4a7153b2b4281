import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { drain, lookUp, ownService, signUp, test, type Context } from '../testing/context.ts';
import { insertOrders } from '../testing/orders.ts';
import { sqlStateOf } from '../db/errors.ts';

// The database itself refuses what would strand an order, whoever tries: here it is the superuser.

test('an order that is inserted without its job is refused at commit, and told how to place it', async (t) => {
  const { id: userId } = await signUp(t.context);
  const id = randomUUIDv7();

  const error = await t.throwsAsync(insertAlone(t.context, id, userId));

  t.is(sqlStateOf(error), 'OM003');
  t.regex(hintOf(error), /place_order/);
  t.false(await isThere(t.context, id));
});

test('an order whose job was enqueued by another transaction is refused', async (t) => {
  const { id: userId } = await signUp(t.context);
  const id = randomUUIDv7();
  await t.context.deps.pool.query(sql.unsafe`SELECT enqueue_order(${id}, pg_current_xact_id())`);

  const error = await t.throwsAsync(insertAlone(t.context, id, userId));

  t.is(sqlStateOf(error), 'OM003');
  t.false(await isThere(t.context, id));
});

test('an order without its job is refused also when it has moved on to PROCESSING', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const id = randomUUIDv7();

  const error = await t.throwsAsync(
    deps.pool.transaction(async (tx) => {
      await tx.query(sql.unsafe`
        INSERT INTO orders (id, user_id, product_name, amount) VALUES (${id}, ${userId}, 'Kettle', 1)
      `);
      await tx.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);
    }),
  );

  t.is(sqlStateOf(error), 'OM003');
  t.false(await isThere(t.context, id));
});

for (const change of [
  `start_after = '2100-01-01'`,
  `blocked = true`,
  `state = 'active', started_on = now()`,
  `keep_until = '2000-01-01'`,
]) {
  test(`an order whose job would not run is refused: ${change}`, async (t) => {
    const { deps } = t.context;
    const { id: userId } = await signUp(t.context);
    const set = { ...sql.fragment`SELECT`, sql: change };

    const error = await t.throwsAsync(
      deps.pool.transaction(async (tx) => {
        const Row = z.object({ id: z.uuid() });
        const { id } = await tx.one(
          sql.type(Row)`SELECT place_order(${userId}, 'Kettle', 1) AS id`,
        );
        await tx.query(sql.unsafe`UPDATE pgboss.job SET ${set} WHERE id = ${id}`);
      }),
    );

    t.is(sqlStateOf(error), 'OM003');
  });
}

test('an order from before transactions were recorded can be tried again when its job is gone', async (t) => {
  const service = await ownService(t); // where no other test has the order in hand
  const { deps } = service;
  const { id: userId } = await signUp(service);
  const [id = ''] = await insertOrders(deps, userId, 1);
  await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SET LOCAL session_replication_role = replica`);
    await tx.query(
      sql.unsafe`UPDATE orders SET status = 'FAILED', xact_id = NULL WHERE id = ${id}`,
    );
    await tx.query(sql.unsafe`DELETE FROM pgboss.job WHERE id = ${id}`);
  });

  await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${id}, 'ticket 1')`);
  await drain(deps, 'process-order');

  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test('an order cannot be put back to PENDING when its job is gone', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(deps, userId, 1);
  await deps.pool.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);
  await deps.boss.deleteJob('process-order', id);

  const error = await t.throwsAsync(
    deps.pool.query(sql.unsafe`UPDATE orders SET status = 'PENDING' WHERE id = ${id}`),
  );

  t.is(sqlStateOf(error), 'OM003');
  t.regex(hintOf(error), /ops\.retry_order/);
  t.like(await lookUp(deps, id), { status: 'PROCESSING' });
});

// Serial, and so before the others: it works off whatever is queued.
test.serial('an order that is placed from SQL is completed by a worker', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(deps, userId, 1);

  await drain(deps, 'process-order');

  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

function insertAlone({ deps }: Context, id: string, userId: string) {
  return deps.pool.query(sql.unsafe`
    INSERT INTO orders (id, user_id, product_name, amount) VALUES (${id}, ${userId}, 'Kettle', 1)
  `);
}

function isThere({ deps }: Context, id: string): Promise<boolean> {
  return deps.pool.exists(sql.unsafe`SELECT FROM orders WHERE id = ${id}`);
}

function hintOf(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { hint } = e as { hint?: unknown };
    if (typeof hint === 'string') return hint;
  }
  return '';
}
