import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { z } from 'zod';
import { allEnded, violations } from '../../test/support/audit.ts';
import { lookUp, ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { connectDba, failOrder, type Dba } from '../../test/support/dba.ts';
import { insertOrders, jobOf } from '../../test/support/orders.ts';
import { startWorker as startProcess } from '../../test/support/processes.ts';
import { testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { ends, startWorker } from '../../test/support/workers.ts';

// Workers without an external step: they process orders without claiming their jobs. Each test has a database of its
// own, and they run one by one, because some wait for several workers.

const SMALL_BATCHES = { WORKER_BATCH_SIZE: '10', WORKER_CONCURRENCY: '2' };

test.serial(
  'three workers process each order once, and none that was cancelled meanwhile',
  async (t) => {
    const service = await ownService(t, SMALL_BATCHES);
    const { deps } = service;
    const wasActive = await watchClaims(t, service);
    const user = await signUp(service);
    const ids = await insertOrders(deps, user.id, 300);
    const unwanted = ids.filter((_, index) => index % 5 === 0);

    const [replies] = await Promise.all([
      Promise.all(unwanted.map((id) => user.request('PUT', `/orders/${id}/cancellation`))),
      startWorker(t, service),
      startWorker(t, service),
      startWorker(t, service),
    ]);
    await until('all orders to end', async () => (await counts(service)).open === 0);

    const cancelled = unwanted.filter((_, index) => replies[index]?.status === 200);
    t.true(replies.every(({ status }) => status === 200 || status === 409));
    for (const id of ids) {
      const ended = cancelled.includes(id)
        ? { status: 'CANCELLED', version: 2, job: 'cancelled' }
        : { status: 'COMPLETED', version: 3, job: 'completed' };
      t.deepEqual(await lookUp(deps, id), ended);
    }
    t.is((await counts(service)).completions, 300 - cancelled.length);
    t.deepEqual(await wasActive(), []);
    await auditIsClean(t, service);
  },
);

test.serial(
  'an order that cannot be completed is left to claims, holds up no other, and is completed once it can be',
  async (t) => {
    const service = await ownService(t, { ...SMALL_BATCHES, WORKER_POLL_SECONDS: '0.5' });
    const { deps } = service;
    const psql = await connectDba(t, service, 'postgres');
    await onCompletionOf(psql, 'Poison', `RAISE EXCEPTION 'this one is poison'`);
    const user = await signUp(service);
    const before = await insertOrders(deps, user.id, 5);
    const poison = await user.place({ product_name: 'Poison', amount: 1 });
    const after = await insertOrders(deps, user.id, 25);

    await startWorker(t, service);
    for (const id of [...before, ...after]) await ends(deps, id, 'COMPLETED');
    const failed = await until('the poison to fail', async () => {
      const job = await jobOf(deps, poison);
      return job.state === 'retry' && job;
    });
    const meanwhile = await lookUp(deps, poison);
    await psql.rows('DROP FUNCTION on_completion CASCADE');
    await ends(deps, poison, 'COMPLETED');

    t.regex(JSON.stringify(failed.output), /this one is poison/);
    t.like(meanwhile, { status: 'PENDING', version: 1 });
    const attempts = await attemptsAt(service, 'COMPLETED');
    t.true((attempts.get(poison) ?? 0) >= 2);
    t.true([...before, ...after].every((id) => attempts.get(id) === 1));
    await auditIsClean(t, service);
  },
);

for (const table of ['orders', 'order_jobs']) {
  test.serial(
    `an order that another transaction has locked in ${table} is passed over, and completed once it is free`,
    async (t) => {
      const service = await ownService(t, { ...SMALL_BATCHES, WORKER_POLL_SECONDS: '0.5' });
      const { deps } = service;
      const user = await signUp(service);
      const [locked = '', ...others] = await insertOrders(deps, user.id, 25);
      const { rows } = await connectDba(t, service, 'postgres');
      await rows('BEGIN');
      await rows(`SELECT id FROM ${table} WHERE id = $1 FOR UPDATE`, [locked]);

      await startWorker(t, service);
      for (const id of others) await ends(deps, id, 'COMPLETED');
      const meanwhile = await lookUp(deps, locked);
      await rows('COMMIT');
      await ends(deps, locked, 'COMPLETED');

      t.like(meanwhile, { status: 'PENDING', version: 1 });
      t.deepEqual(await lookUp(deps, locked), {
        status: 'COMPLETED',
        version: 3,
        job: 'completed',
      });
      await auditIsClean(t, service);
    },
  );
}

test.serial('a job whose order is gone does not stay due for ever', async (t) => {
  const service = await ownService(t, { WORKER_POLL_SECONDS: '0.5' });
  const { deps } = service;
  const orphan = randomUUIDv7();
  await deps.boss.insert('process-order', [
    { id: orphan, data: { order_id: orphan, xact_id: '3' } },
  ]);
  const [id = ''] = await insertOrders(deps, (await signUp(service)).id, 1);

  await startWorker(t, service);
  await ends(deps, id, 'COMPLETED');
  const job = await until('the orphan to be done with', async () => {
    const found = await jobOf(deps, orphan);
    return found.state === 'completed' && found;
  });

  t.true(
    job.startedOn.getTime() - job.startAfter.getTime() > 5_000,
    'by a claim, after PASSED_OVER_MS',
  );
});

test.serial(
  'an order that an operator has put back is completed by the next attempt',
  async (t) => {
    const service = await ownService(t);
    const { deps } = service;
    const wasActive = await watchClaims(t, service);
    const [once = '', twice = ''] = await insertOrders(deps, (await signUp(service)).id, 2);
    await failOrder(deps, twice);
    await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${twice}, 'it is in stock again')`);
    await deps.pool.query(sql.unsafe`DELETE FROM was_active`); // that was the test

    await startWorker(t, service);
    await ends(deps, once, 'COMPLETED');
    await ends(deps, twice, 'COMPLETED');

    const attempts = await attemptsAt(service, 'COMPLETED');
    t.deepEqual([attempts.get(once), attempts.get(twice)], [1, 2]);
    t.is((await jobOf(deps, twice)).retryCount, 1);
    t.deepEqual(await wasActive(), []);
    await auditIsClean(t, service);
  },
);

test.serial('an order that is committed late, after a slow search, is found', async (t) => {
  const service = await ownService(t, { WORKER_POLL_SECONDS: '0.5' });
  const { deps } = service;
  const late = await connectDba(t, service, 'postgres');
  const psql = await connectDba(t, service, 'postgres');
  await onCompletionOf(psql, 'Slow', 'PERFORM pg_sleep(1)');
  const user = await signUp(service);
  await late.rows('BEGIN');
  const id = await late.value(`SELECT place_order($1, 'Late', 1)`, [user.id]);
  const slow = await user.place({ product_name: 'Slow', amount: 1 });
  // As if it had been placed a minute later.
  await psql.rows(
    `UPDATE order_jobs SET created_on = created_on + interval '1 minute' WHERE id = $1`,
    [slow],
  );

  await startWorker(t, service);
  await ends(deps, slow, 'COMPLETED');
  await late.rows('COMMIT');
  await ends(deps, id, 'COMPLETED');

  t.is((await counts(service)).completions, 2);
  await auditIsClean(t, service);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.serial(
    `a worker that gets a ${signal} while it is busy loses nothing, and strands nothing`,
    async (t) => {
      const service = await ownService(t);
      const { deps, database } = service;
      const wasActive = await watchClaims(t, service);
      const psql = await connectDba(t, service, 'postgres');
      await onCompletionOf(psql, 'Slow', 'PERFORM pg_advisory_xact_lock(1)');
      await psql.rows('SELECT pg_advisory_lock(1)');
      const user = await signUp(service);
      await user.place({ product_name: 'Slow', amount: 1 });
      await insertOrders(deps, user.id, 29);
      const settings = { ...SMALL_BATCHES, WORKER_CONCURRENCY: '1' };
      const worker = await startProcess(t, testEnvironment(database, settings));
      await until('the worker to be busy', () =>
        psql.value(
          `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`,
        ),
      );

      worker.send(signal);
      if (signal === 'SIGTERM') {
        await until('it to begin to stop', () => worker.logged('worker stopping').length > 0);
      } else {
        await worker.ended;
      }
      await psql.rows('SELECT pg_advisory_unlock(1)');
      const { code } = await worker.ended;
      await until('its batch to end', async () => (await counts(service)).completions > 0);
      const left = await counts(service);
      await startWorker(t, service);
      await until('all orders to end', async () => (await counts(service)).open === 0);

      t.is(code, signal === 'SIGTERM' ? 0 : null);
      t.deepEqual(left, { open: 20, completions: 10 });
      t.deepEqual(await counts(service), { open: 0, completions: 30 });
      t.deepEqual(await wasActive(), []);
      await auditIsClean(t, service);
    },
  );
}

/** Records the ids of all jobs of orders that become active from now on, even for a short time. */
async function watchClaims(
  t: ExecutionContext<Context>,
  service: Pick<Context, 'database'>,
): Promise<() => Promise<string[]>> {
  const { rows, value } = await connectDba(t, service, 'postgres');
  const table: string = await value(
    `SELECT format('pgboss.%I', table_name) FROM pgboss.queue WHERE name = 'process-order'`,
  );
  await rows('CREATE TABLE was_active (id uuid NOT NULL)');
  await rows(`
    CREATE FUNCTION note_active() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN INSERT INTO public.was_active VALUES (NEW.id); RETURN NULL; END $$
  `);
  await rows(`
    CREATE TRIGGER job_99_note_active AFTER INSERT OR UPDATE ON ${table} FOR EACH ROW
      WHEN (NEW.state = 'active') EXECUTE FUNCTION note_active()
  `);
  return async () =>
    (await rows('SELECT id FROM was_active ORDER BY id')).map(({ id }) => String(id));
}

/** From now on, runs plpgsql before an order of this name is completed. */
async function onCompletionOf({ rows }: Dba, name: string, plpgsql: string): Promise<void> {
  await rows(`
    CREATE FUNCTION on_completion() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN ${plpgsql}; RETURN NEW; END $$
  `);
  await rows(`
    CREATE TRIGGER orders_99_on_completion BEFORE UPDATE ON orders FOR EACH ROW
      WHEN (NEW.product_name = '${name}' AND NEW.status = 'COMPLETED')
      EXECUTE FUNCTION on_completion()
  `);
}

/** The number of open orders, and of completions. */
function counts({ deps: { pool } }: Pick<Context, 'deps'>) {
  return pool.one(sql.type(z.object({ open: z.int(), completions: z.int() }))`
    SELECT
      (SELECT count(*)::integer FROM orders WHERE status IN ('PENDING', 'PROCESSING')) AS open,
      (SELECT count(*)::integer FROM order_events WHERE to_status = 'COMPLETED') AS completions
  `);
}

/** Which attempt has taken each order to a status. */
async function attemptsAt({ deps: { pool } }: Pick<Context, 'deps'>, status: string) {
  const rows = await pool.any(sql.type(z.object({ order_id: z.guid(), attempt: z.int() }))`
    SELECT order_id, attempt FROM order_events WHERE to_status = ${status}
  `);
  return new Map(rows.map(({ order_id, attempt }) => [order_id, attempt]));
}

async function auditIsClean(
  t: ExecutionContext,
  service: Pick<Context, 'database'>,
): Promise<void> {
  await allEnded(service);
  t.deepEqual(await violations(service), []);
}
