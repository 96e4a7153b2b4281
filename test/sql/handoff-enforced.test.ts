import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { sqlStateOf } from '../../src/db/errors.ts';
import { drain, lookUp, ownService, signUp, test, type Context } from '../support/context.ts';
import { connectDba, type Dba } from '../support/dba.ts';
import { insertOrders, preparedOrder } from '../support/orders.ts';
import { createPlacement, placeOrders } from '../../src/orders/placement.ts';

// An order that is placed or set back to PENDING without a usable job is refused, for the superuser and the owner too.

const INSERT_ORDER = `
  INSERT INTO orders (id, user_id, product_name, amount) VALUES ($1, $2, 'Kettle', 1)
`;
const INSERT_JOB = `
  INSERT INTO order_jobs (id, name, data, expire_seconds, retry_limit, dead_letter)
  SELECT $1::uuid, q.name, jsonb_build_object('order_id', $1::uuid, 'xact_id', pg_current_xact_id()::text),
    q.expire_seconds, q.retry_limit, q.dead_letter
  FROM pgboss.queue AS q
  WHERE q.name = 'process-order'
`;

/** Changes that hide a job from the workers, or give it other settings than its queue has. */
const WRONG = [
  `start_after = '2100-01-01'`,
  `blocked = true`,
  `state = 'active'`,
  `state = 'completed'`,
  `keep_until = '2000-01-01'`,
  `expire_seconds = 3600`,
  `retry_limit = 0`,
  `dead_letter = NULL`,
  `data = data || '{"xact_id": "3"}'`,
  `data = data || '{"order_id": "another"}'`,
];

for (const [first, second] of [
  [INSERT_ORDER, INSERT_JOB],
  [INSERT_JOB, INSERT_ORDER],
]) {
  const way = first === INSERT_JOB ? 'before' : 'after';
  test(`an order is accepted when a correct job is inserted by hand ${way} it`, async (t) => {
    const { rows, id, userId } = await byHand(t);

    await rows('BEGIN');
    for (const statement of [first, second]) {
      await rows(statement ?? '', statement === INSERT_JOB ? [id] : [id, userId]);
    }
    await rows('COMMIT');

    t.like(await lookUp(t.context.deps, id), { status: 'PENDING', job: 'created' });
  });
}

test('an order without a job is refused at commit, and the error names the function to use', async (t) => {
  const { rows, id, userId, refusedAtCommit } = await byHand(t);

  await rows('BEGIN');
  await rows(INSERT_ORDER, [id, userId]);
  const { code, hint } = await refusedAtCommit();

  t.is(code, 'OM003');
  t.regex(hint, /place_order/);
  t.false(await isThere(t.context, id));
});

test('an order whose job another transaction has inserted is refused', async (t) => {
  const { rows, id, userId, refusedAtCommit } = await byHand(t);
  await rows(INSERT_JOB, [id]);

  await rows('BEGIN');
  await rows(INSERT_ORDER, [id, userId]);
  const { code } = await refusedAtCommit();

  t.is(code, 'OM003');
  t.false(await isThere(t.context, id));
});

test('an order without a job is refused also when it is PROCESSING already', async (t) => {
  const { rows, id, userId, refusedAtCommit } = await byHand(t);

  await rows('BEGIN');
  await rows(INSERT_ORDER, [id, userId]);
  await rows(`UPDATE orders SET status = 'PROCESSING' WHERE id = $1`, [id]);
  const { code } = await refusedAtCommit();

  t.is(code, 'OM003');
  t.false(await isThere(t.context, id));
});

for (const change of WRONG) {
  for (const role of ['postgres', 'oms_owner']) {
    test(`${role} cannot place an order with a wrong job: ${change}`, async (t) => {
      const { rows, id, userId, refusedAtCommit } = await byHand(t, role);

      await rows('BEGIN');
      await rows(INSERT_ORDER, [id, userId]);
      await rows(INSERT_JOB, [id]);
      await rows(`UPDATE order_jobs SET ${change} WHERE id = $1`, [id]);
      const { code } = await refusedAtCommit();

      t.is(code, 'OM003');
      t.false(await isThere(t.context, id));
    });
  }
}

for (const change of [...WRONG, 'dropped']) {
  test.serial(
    `place_orders is refused as a whole when a trigger makes one of its jobs wrong: ${change}`,
    async (t) => {
      const { deps } = t.context;
      const { id: userId } = await signUp(t.context);
      const [order, neighbour] = [preparedOrder(userId), preparedOrder(userId)];
      await alterJobOf(t, order.id, change);

      const error = await t.throwsAsync(
        placeOrders(
          deps,
          [order, neighbour].map((each) => createPlacement(each)),
        ),
      );

      t.is(sqlStateOf(error), 'OM003');
      for (const { id } of [order, neighbour]) {
        t.false(await isThere(t.context, id));
        t.false(await hasJob(t.context, id));
      }
    },
  );
}

test('an operator can retry an order whose job was deleted', async (t) => {
  const service = await ownService(t); // other tests process the orders of this file's database
  const { deps } = service;
  const { id: userId } = await signUp(service);
  const [id = ''] = await insertOrders(deps, userId, 1);
  await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${id}`);
    await tx.query(sql.unsafe`UPDATE orders SET status = 'FAILED' WHERE id = ${id}`);
    await tx.query(sql.unsafe`DELETE FROM pgboss.job WHERE id = ${id}`);
  });

  await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${id}, 'ticket 1')`);
  await drain(deps, 'process-order');

  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test('an order whose job was deleted cannot be set back to PENDING', async (t) => {
  const { deps } = t.context;
  const { rows, userId, refused } = await byHand(t);
  const [id = ''] = await insertOrders(deps, userId, 1);
  await rows(`UPDATE orders SET status = 'PROCESSING' WHERE id = $1`, [id]);
  await rows(`DELETE FROM order_jobs WHERE id = $1`, [id]);

  const { code, hint } = await refused(`UPDATE orders SET status = 'PENDING' WHERE id = $1`, [id]);

  t.is(code, 'OM003');
  t.regex(hint, /ops\.retry_order/);
  t.like(await lookUp(deps, id), { status: 'PROCESSING' });
});

// Serial tests run before the others. This one processes all queued jobs.
test.serial('an order that is placed from SQL is completed by a worker', async (t) => {
  const { deps } = t.context;
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(deps, userId, 1);

  await drain(deps, 'process-order');

  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

type Refusal = { code: string | undefined; hint: string };

/** A psql session of a role, a user, and an id for the user's order. */
async function byHand(t: ExecutionContext<Context>, role = 'postgres') {
  const { id: userId } = await signUp(t.context);
  const { rows } = await connectDba(t, t.context, role);
  const refused = async (...statement: Parameters<Dba['rows']>): Promise<Refusal> => {
    const error = await t.throwsAsync<Error & Partial<Refusal>>(rows(...statement));
    return { code: error?.code, hint: error?.hint ?? '' };
  };
  return { rows, id: randomUUIDv7(), userId, refused, refusedAtCommit: () => refused('COMMIT') };
}

/** Changes or drops the job of an order when it is inserted, until the test ends. */
async function alterJobOf(t: ExecutionContext<Context>, id: string, change: string): Promise<void> {
  const { rows, value } = await connectDba(t, t.context, 'postgres');
  const table: string = await value(
    `SELECT format('pgboss.%I', table_name) FROM pgboss.queue WHERE name = 'process-order'`,
  );
  const body =
    change === 'dropped'
      ? 'RETURN NULL;'
      : `NEW.${change.replace(' = ', ' := ').replace('data ||', 'NEW.data ||')}; RETURN NEW;`;
  await rows(`
    CREATE FUNCTION alter_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$
  `);
  await rows(`
    CREATE TRIGGER job_99_alter BEFORE INSERT ON ${table} FOR EACH ROW
      WHEN (NEW.id = '${id}') EXECUTE FUNCTION alter_job()
  `);
  t.teardown(() => rows('DROP FUNCTION alter_job CASCADE'));
}

function isThere({ deps }: Context, id: string): Promise<boolean> {
  return deps.pool.exists(sql.unsafe`SELECT FROM orders WHERE id = ${id}`);
}

function hasJob({ deps }: Context, id: string): Promise<boolean> {
  return deps.pool.exists(sql.unsafe`SELECT FROM order_jobs WHERE id = ${id}`);
}
