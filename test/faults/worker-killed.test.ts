import { sql } from 'slonik';
import { z } from 'zod';
import { ownService, test, type Context } from '../support/context.ts';
import { openFulfilment } from '../support/fulfilment.ts';
import { COMPLETED_ONCE, trailsOf, whenAllSettled } from '../support/load.ts';
import { startWorkerProcess, type Running } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';
import {
  accept,
  fulfilledAt,
  jobStates,
  placeMany,
  processedBy,
  remaining,
} from '../support/worker-faults.ts';

// A worker process is killed while it processes orders. Each test has a database of its own, because its workers would
// process the orders of other tests.

/** With an external step, as the README says: heartbeat 10 s, checked every second, back-off 1–2 s, poll 1 s. */
const RESCUE_MS_MAX = 15_000;
/** Without an external step nothing is claimed, so the next poll finds the orders of a killed worker. */
const TAKE_OVER_MS_MAX = 3_000;
/** The additional time on a test machine that is several times overloaded, where 20 s in all were seen. */
const LATE_MS_MAX = 15_000;

test('when a worker is killed while it processes orders, another completes them all, each once', async (t) => {
  const service = await ownService(t);
  const { url, calls } = await openFulfilment(t, (response) => setTimeout(accept, 50, response));
  const env = fulfilledAt(url, service);
  const [worker] = await Promise.all([startWorkerProcess(t, env), startWorkerProcess(t, env)]);
  const ids = await placeMany(service, 1000);
  await until('the worker to process orders', async () => {
    return calls.length > 200 && (await processedBy(service, worker)).length > 0;
  });

  worker.send('SIGKILL');
  const killedAt = Date.now();
  await worker.ended;
  const left = await processedBy(service, worker);
  await whenAllSettled(service.deps);
  const rescueMs = (await lastClaim(service, left)) - killedAt;

  t.log(
    `the worker left ${left.length} orders; the last was claimed ${rescueMs} ms after the kill`,
  );
  t.true(left.length > 0);
  t.true(rescueMs > 0 && rescueMs <= RESCUE_MS_MAX + LATE_MS_MAX, `${rescueMs} ms`);
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: 1000 });
});

test('a worker without an external step strands no order when it is killed while it processes orders', async (t) => {
  const service = await ownService(t);
  const env = testEnvironment(service.database, { WORKER_BATCH_SIZE: '200' });
  const ids = await placeMany(service, 1000);
  await stopLastBatch(service, ids.at(-1) ?? '');
  const worker = await startWorkerProcess(t, env);
  await until('the worker to complete all other batches', () => remaining(service, 200));
  const other = await startWorkerProcess(t, env);
  const before = await jobStates(service);

  worker.send('SIGKILL');
  await worker.ended;
  await endStoppedBatch(service);
  const endedAt = Date.now();
  const after = await jobStates(service);
  await whenAllSettled(service.deps);
  const takenOverMs = (await lastEnd(service)) - endedAt;

  t.log(`the batch was completed ${takenOverMs} ms after its worker was killed`);
  t.deepEqual(before, { completed: 800, created: 200 });
  t.is(after.active, undefined);
  t.true(takenOverMs <= TAKE_OVER_MS_MAX + LATE_MS_MAX, `${takenOverMs} ms`);
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: 1000 });
  t.deepEqual(await jobStates(service), { completed: 1000 });
  t.is(await completionsBy(service, other), 200);
});

/** The number of orders that a process has completed. */
function completionsBy({ deps }: Context, { pid }: Running): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ orders: z.number() }))`
    SELECT count(*) AS orders FROM order_events WHERE to_status = 'COMPLETED' AND actor LIKE ${`%:${pid}`}
  `);
}

/** The time at which the last order was completed, by the clock that this machine shares with the database. */
function lastEnd({ deps }: Context): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ ms: z.number() }))`
    SELECT floor(extract(epoch FROM max(at)) * 1000)::bigint AS ms
    FROM order_events WHERE to_status = 'COMPLETED'
  `);
}

/** The time at which the last of these jobs was claimed, by the same clock. */
function lastClaim({ deps }: Context, ids: readonly string[]): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ ms: z.number() }))`
    SELECT floor(extract(epoch FROM max(started_on)) * 1000)::bigint AS ms
    FROM pgboss.job
    WHERE name = 'process-order' AND id = ANY(${sql.array([...ids], 'uuid')})
  `);
}

/** Puts an order into the last batch, and makes that batch wait in the middle, where no lock timeout ends the wait. */
async function stopLastBatch({ deps: { pool } }: Context, id: string): Promise<void> {
  await pool.query(sql.unsafe`UPDATE pgboss.job SET priority = -1 WHERE id = ${id}`);
  await pool.query(sql.unsafe`CREATE TABLE stopped AS SELECT ${id}::uuid AS order_id`);
  await pool.query(sql.unsafe`
    CREATE FUNCTION wait_while_stopped() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      WHILE EXISTS (SELECT FROM public.stopped WHERE order_id = NEW.id) LOOP
        PERFORM pg_sleep(0.01);
      END LOOP;
      RETURN NEW;
    END $$
  `);
  await pool.query(sql.unsafe`
    CREATE TRIGGER wait_while_stopped BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION wait_while_stopped()
  `);
}

/**
 * Ends the statement that waits, as the server does when it notices that the client is gone. Otherwise the statement
 * would commit the batch in the end. Later batches do not wait.
 */
async function endStoppedBatch({ deps: { pool } }: Context): Promise<void> {
  const isAtWork = sql.fragment`datname = current_database() AND query LIKE '%process_orders(%' AND state = 'active'
    AND pid <> pg_backend_pid()`;
  await pool.query(
    sql.unsafe`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${isAtWork}`,
  );
  await until('the end of the statement', async () => {
    return !(await pool.exists(sql.unsafe`SELECT FROM pg_stat_activity WHERE ${isAtWork}`));
  });
  await pool.query(sql.unsafe`DELETE FROM stopped`);
}
