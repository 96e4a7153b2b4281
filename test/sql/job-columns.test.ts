import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { asWorker, claim, ownService, signUp, test, type Context } from '../support/context.ts';
import { connectDba, exhaustRetries, type Dba } from '../support/dba.ts';
import { insertOrders, preparedOrder } from '../support/orders.ts';
import { runClaimedBatch } from '../support/workers.ts';
import { createPlacement, placeOrders } from '../../src/orders/placement.ts';

// Our functions insert jobs themselves. Each column must have the value that pg-boss's own insert gives it. The list of
// columns comes from the catalogue, so the tests also compare columns that a later version of pg-boss adds.

type Columns = Record<string, unknown>;

/** Columns whose values differ between any two jobs, and an expression on each that must be equal. */
const COMPARED_AS: Record<string, string> = {
  id: `(j.id::text ~ '^[0-9a-f-]{36}$')`,
  data: `replace(replace(j.data::text, j.id::text, 'its id'), j.data ->> 'xact_id', 'its transaction')`,
  created_on: `'the time of its transaction'`, // the tests check it separately
  start_after: `extract(epoch FROM j.start_after - j.created_on)::text`,
  keep_until: `extract(epoch FROM j.keep_until - j.start_after)::text`,
};

test('place_orders inserts jobs with the same columns as pg-boss', async (t) => {
  const { deps } = t.context;
  const order = preparedOrder((await signUp(t.context)).id);
  const psql = await connectDba(t, t.context, 'postgres');

  await placeOrders(deps, [createPlacement(order)]);

  t.deepEqual(await columnsOf(psql, order.id), await columnsOfPgBoss(t, psql));
  t.true(
    await psql.value(
      `SELECT j.created_on = o.created_at AND j.data ->> 'xact_id' = o.xact_id::text
     FROM order_jobs AS j JOIN orders AS o ON o.id = j.id WHERE j.id = $1`,
      [order.id],
    ),
  );
});

test('place_order inserts jobs with the same columns as pg-boss', async (t) => {
  const { id: userId } = await signUp(t.context);
  const psql = await connectDba(t, t.context, 'postgres');

  await psql.rows('BEGIN');
  const id: string = await psql.value(`SELECT place_order($1, 'Kettle', 1)`, [userId]);
  const isOfNow = await psql.value('SELECT created_on = now() FROM order_jobs WHERE id = $1', [id]);
  await psql.rows('COMMIT');

  t.true(isOfNow);
  t.deepEqual(await columnsOf(psql, id), await columnsOfPgBoss(t, psql));
});

test('ops.retry_order inserts a deleted job again with the same columns as pg-boss', async (t) => {
  const { id: userId } = await signUp(t.context);
  const psql = await connectDba(t, t.context, 'postgres');
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);
  await psql.rows('DELETE FROM order_jobs WHERE id = $1', [id]);

  const { isOfNow, remade } = await retry(psql, id);

  t.true(isOfNow);
  const expected = await columnsOfPgBoss(t, psql);
  const job_xact_id = await psql.value(
    `SELECT data ->> 'job_xact_id' FROM order_jobs WHERE id = $1`,
    [id],
  );
  t.deepEqual(JSON.parse(String(remade.data)), {
    ...JSON.parse(String(expected.data)),
    job_xact_id,
  });
  t.deepEqual({ ...remade, data: null }, { ...expected, data: null });
});

test('a job that is inserted again continues the count of recorded attempts, and has all its retries', async (t) => {
  const service = await ownService(t, {
    FULFILMENT_URL: 'http://127.0.0.1:9/',
    FULFILMENT_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  });
  const psql = await connectDba(t, service, 'postgres');
  const [id = ''] = await insertOrders(service.deps, (await signUp(service)).id, 1);
  await runClaimedBatch(
    asWorker(service.deps),
    'process-order',
    await claim(service.deps, 'process-order'),
  );
  await psql.rows('DELETE FROM order_jobs WHERE id = $1', [id]);

  const { remade } = await retry(psql, id);

  const expected = await columnsOfPgBoss({ context: service }, psql);
  const [retry_count, retry_limit] = [1, Number(expected.retry_limit) + 1];
  t.deepEqual({ ...remade, data: null }, { ...expected, data: null, retry_count, retry_limit });
});

test('a dead letter has the retries and the retention of its own queue', async (t) => {
  const { deps } = t.context;
  const [id = ''] = await insertOrders(deps, (await signUp(t.context)).id, 1);
  const psql = await connectDba(t, t.context, 'postgres');

  const letter = await exhaustRetries(deps, id);

  const [kept] = await psql.rows(
    `SELECT j.retry_limit = q.retry_limit AND j.retry_delay = q.retry_delay AND j.retry_backoff = q.retry_backoff
         AND j.retry_delay_max = q.retry_delay_max AND j.expire_seconds = q.expire_seconds
         AND j.deletion_seconds = q.deletion_seconds AND j.heartbeat_seconds = q.heartbeat_seconds AS as_its_queue,
       j.keep_until >= j.created_on + q.retention_seconds * interval '1 second' AS long_enough,
       j.retry_delay_max
     FROM pgboss.job AS j JOIN pgboss.queue AS q ON q.name = j.name
     WHERE j.name = 'fail-order' AND j.id = $1`,
    [letter],
  );
  t.deepEqual(kept, { as_its_queue: true, long_enough: true, retry_delay_max: 60 });
});

/** Retries an order. Returns the columns of the job that this makes, and whether it was created now. */
async function retry({ rows, value }: Pick<Dba, 'rows' | 'value'>, id: string) {
  await rows('BEGIN');
  await rows(`SELECT ops.retry_order($1, 'its job is gone')`, [id]);
  const isOfNow = await value('SELECT created_on = now() FROM order_jobs WHERE id = $1', [id]);
  const remade = await columnsOf({ rows }, id);
  await rows('COMMIT');
  return { isOfNow, remade };
}

/** Every column of a job that pg-boss itself has inserted. The job is deleted before a worker claims it. */
async function columnsOfPgBoss(
  { context }: Pick<ExecutionContext<Context>, 'context'>,
  psql: Dba,
): Promise<Columns> {
  const id = randomUUIDv7();
  await context.deps.boss.insert('process-order', [{ id, data: { order_id: id, xact_id: '7' } }]);
  const columns = await columnsOf(psql, id);
  await psql.rows('DELETE FROM order_jobs WHERE id = $1', [id]);
  return columns;
}

/** Every column of a job. */
async function columnsOf({ rows }: Pick<Dba, 'rows'>, id: string): Promise<Columns> {
  const catalogue = await rows(`
    SELECT attname AS name FROM pg_attribute
    WHERE attrelid = 'pgboss.job'::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
  `);
  const columns = catalogue.map(({ name }) => `${COMPARED_AS[name] ?? `j.${name}`} AS ${name}`);
  const [job] = await rows(
    `SELECT ${columns.join()} FROM pgboss.job AS j WHERE j.name = 'process-order' AND j.id = $1`,
    [id],
  );
  return job ?? {};
}
