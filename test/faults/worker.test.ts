import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { ownService, signUp, test, type Context } from '../support/context.ts';
import { FULFILMENT_SECRET, openFulfilment } from '../support/fulfilment.ts';
import { COMPLETED_ONCE, trailsOf, whenAllSettled } from '../support/load.ts';
import { insertOrders } from '../support/orders.ts';
import { startWorker, type Running } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

// Each test has a database of its own, since its workers would take the jobs of all the others.

/** What the README states: heartbeat 10 s, looked for every second, back-off 1–2 s, poll 1 s. */
const RESCUE_MS_MAX = 15_000;
/** Without an external step nothing is claimed, so the next look finds what a killed worker was at. */
const TAKE_OVER_MS_MAX = 3_000;
/** Timers and claims of a test machine that is several times overloaded come late: 20 s were seen. */
const LATE_MS_MAX = 15_000;

test('when a worker is killed in the midst of 1000 orders, another completes them all, each once', async (t) => {
  const service = await ownService(t);
  const { url, calls } = await openFulfilment(t, (response) => setTimeout(accept, 50, response));
  const env = fulfilledAt(url, service);
  const [worker] = await Promise.all([startWorker(t, env), startWorker(t, env)]);
  const ids = await placeMany(service, 1000);
  await until('the worker to hold orders', async () => {
    return calls.length > 200 && (await heldBy(service, worker)).length > 0;
  });

  worker.send('SIGKILL');
  const killedAt = Date.now();
  await worker.ended;
  const held = await heldBy(service, worker);
  await whenAllSettled(service.deps);
  const rescueMs = (await lastClaim(service, held)) - killedAt;

  t.log(`${held.length} orders were held; the last was run again ${rescueMs} ms after the kill`);
  t.true(held.length > 0);
  t.true(rescueMs > 0 && rescueMs <= RESCUE_MS_MAX + LATE_MS_MAX, `${rescueMs} ms`);
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: 1000 });
});

test('a worker without an external step that is killed in the midst of its work strands nothing', async (t) => {
  const service = await ownService(t);
  const env = testEnvironment(service.database, { WORKER_BATCH_SIZE: '200' });
  const ids = await placeMany(service, 1000);
  await holdUp(service, ids.at(-1) ?? '');
  const worker = await startWorker(t, env);
  await until('the worker to complete all other batches', () => remaining(service, 200));
  const other = await startWorker(t, env);
  const before = await jobStates(service);

  worker.send('SIGKILL');
  await worker.ended;
  await endStatementOf(service); // as the server does when it notices; it would else commit the batch in the end
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

test('a worker that wakes up after another has taken over its orders changes nothing', async (t) => {
  const service = await ownService(t);
  const open: ServerResponse[] = []; // ten for the frozen worker, then ten for the other one
  const { url } = await openFulfilment(t, (response) => open.push(response));
  // There is a lane for each call: retries fall due one by one, and none is to wait for another.
  const env = fulfilledAt(url, service, { FULFILMENT_TIMEOUT_MS: '30000' });
  const frozen = await startWorker(t, env);
  const ids = await placeMany(service, 10);
  await until('the first worker to hold all orders', () => open.length === 10);

  frozen.send('SIGSTOP');
  const other = await startWorker(t, env);
  await until('the other worker to hold all orders', () => open.length === 20);
  open.slice(10, 15).forEach(accept); // five are completed, five still in hand
  await until('the first five', () => remaining(service, 5));
  open.slice(0, 10).forEach(accept);
  frozen.send('SIGCONT');
  await until('it to notice', () => gaveUp(frozen).length >= 5);
  frozen.send('SIGTERM');
  const { code } = await frozen.ended;
  open.slice(15).forEach(accept);
  await whenAllSettled(service.deps);

  t.is(code, 0);
  t.is(open.length, 20, 'no order was sent a third time');
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
  t.deepEqual(await completedBy(service), [other.pid]);
  t.deepEqual(await jobStates(service), { completed: ids.length });
});

test('a worker that is told to stop finishes the orders that it has begun, and begins no others', async (t) => {
  const service = await ownService(t);
  const { url, calls } = await openFulfilment(t, (response) => setTimeout(accept, 500, response));
  const env = fulfilledAt(url, service);
  const worker = await startWorker(t, env);
  const ids = await placeMany(service, 200);
  await until('the worker to hold orders', async () => (await heldBy(service, worker)).length > 0);

  worker.send('SIGTERM');
  const toldAt = Date.now();
  const { code } = await worker.ended;
  const stopMs = Date.now() - toldAt;
  const { active = 0, created = 0, completed = 0 } = await jobStates(service);
  const begun = calls.length;
  await startWorker(t, env);
  await whenAllSettled(service.deps);

  t.log(`stopped within ${stopMs} ms; ${completed} completed, ${created} left`);
  t.is(code, 0);
  t.true(stopMs < 20_000);
  t.is(active, 0);
  t.true(created > 0);
  t.is(completed, begun);
  t.is(calls.length, ids.length, 'no order was sent there twice');
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
});

test('a worker that cannot finish in time returns its orders, and another takes them at once', async (t) => {
  const service = await ownService(t);
  let isHanging = true;
  const { url, calls } = await openFulfilment(t, (response) => {
    if (!isHanging) accept(response);
  });
  const env = fulfilledAt(url, service, { SHUTDOWN_TIMEOUT_SECONDS: '2' });
  const worker = await startWorker(t, env);
  const ids = await placeMany(service, 10);
  await until('the worker to hold all orders', () => calls.length === ids.length);

  worker.send('SIGTERM');
  const { code, stderr } = await worker.ended;
  const states = await jobStates(service);
  isHanging = false;
  await startWorker(t, env);
  await whenAllSettled(service.deps);

  t.deepEqual([code, stderr], [0, '']);
  t.deepEqual(states, { retry: ids.length });
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
});

/** The settings of a worker whose orders are fulfilled elsewhere. */
function fulfilledAt(url: string, { database }: Context, settings: Record<string, string> = {}) {
  return testEnvironment(database, { FULFILMENT_URL: url, FULFILMENT_SECRET, ...settings });
}

function accept(response: ServerResponse): void {
  response.writeHead(200).end();
}

async function placeMany(service: Context, count: number): Promise<string[]> {
  const { id } = await signUp(service);
  return insertOrders(service.deps, id, count);
}

/** What a worker has logged of orders whose end it could not record. */
function gaveUp({ logged }: Running) {
  return [...logged('fulfilment not recorded'), ...logged('fulfilment to be retried')];
}

/** The orders that a worker has committed as PROCESSING, and not yet finished. */
function heldBy({ deps }: Context, { pid }: Running): Promise<readonly string[]> {
  return deps.pool.anyFirst(sql.type(z.object({ id: z.string() }))`
    SELECT orders.id FROM orders JOIN order_events ON order_events.order_id = orders.id
    WHERE orders.status = 'PROCESSING' AND to_status = 'PROCESSING' AND actor LIKE ${`%:${pid}`}
  `);
}

/** The processes that have completed orders. */
async function completedBy({ deps }: Context): Promise<number[]> {
  const actors = await deps.pool.anyFirst(sql.type(z.object({ actor: z.string() }))`
    SELECT DISTINCT actor FROM order_events WHERE to_status = 'COMPLETED' ORDER BY actor
  `);
  return actors.map((actor) => Number(actor.split(':').at(-1)));
}

/** How many jobs of process-order are in which state. */
async function jobStates({ deps }: Context): Promise<Record<string, number>> {
  const rows = await deps.pool.any(sql.type(z.object({ state: z.string(), jobs: z.number() }))`
    SELECT state::text AS state, count(*) AS jobs FROM pgboss.job WHERE name = 'process-order'
    GROUP BY state ORDER BY state
  `);
  return Object.fromEntries(rows.map(({ state, jobs }) => [state, jobs]));
}

/** How many orders a process has completed. */
function completionsBy({ deps }: Context, { pid }: Running): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ orders: z.number() }))`
    SELECT count(*) AS orders FROM order_events WHERE to_status = 'COMPLETED' AND actor LIKE ${`%:${pid}`}
  `);
}

/** When the last order was completed, by the clock that this machine shares with the database. */
function lastEnd({ deps }: Context): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ ms: z.number() }))`
    SELECT floor(extract(epoch FROM max(at)) * 1000)::bigint AS ms
    FROM order_events WHERE to_status = 'COMPLETED'
  `);
}

/** When the last of these jobs was claimed, by the clock that this machine shares with the database. */
function lastClaim({ deps }: Context, ids: readonly string[]): Promise<number> {
  return deps.pool.oneFirst(sql.type(z.object({ ms: z.number() }))`
    SELECT floor(extract(epoch FROM max(started_on)) * 1000)::bigint AS ms
    FROM pgboss.job
    WHERE name = 'process-order' AND id = ANY(${sql.array([...ids], 'uuid')})
  `);
}

function remaining({ deps }: Context, count: number): Promise<boolean> {
  return deps.pool.oneFirst(sql.type(z.object({ reached: z.boolean() }))`
    SELECT count(*) = ${count} AS reached FROM orders WHERE status <> 'COMPLETED'
  `);
}

/** Keeps the first batch that has an order in the midst of it, where no lock timeout ends the wait. */
async function holdUp({ deps: { pool } }: Context, id: string): Promise<void> {
  await pool.query(sql.unsafe`UPDATE pgboss.job SET priority = -1 WHERE id = ${id}`); // in the last batch
  await pool.query(sql.unsafe`CREATE TABLE held_up AS SELECT ${id}::uuid AS order_id`);
  await pool.query(sql.unsafe`
    CREATE FUNCTION wait_while_held_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      WHILE EXISTS (SELECT FROM public.held_up WHERE order_id = NEW.id) LOOP
        PERFORM pg_sleep(0.01);
      END LOOP;
      RETURN NEW;
    END $$
  `);
  await pool.query(sql.unsafe`
    CREATE TRIGGER wait_while_held_up BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION wait_while_held_up()
  `);
}

/** Ends the one statement that is held up, whose client is gone, and holds up no other. */
async function endStatementOf({ deps: { pool } }: Context): Promise<void> {
  const isAtWork = sql.fragment`datname = current_database() AND query LIKE '%process_orders(%' AND state = 'active'
    AND pid <> pg_backend_pid()`;
  await pool.query(
    sql.unsafe`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${isAtWork}`,
  );
  await until('the end of the statement', async () => {
    return !(await pool.exists(sql.unsafe`SELECT FROM pg_stat_activity WHERE ${isAtWork}`));
  });
  await pool.query(sql.unsafe`DELETE FROM held_up`);
}
