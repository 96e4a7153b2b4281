import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { ownService, test, type Context } from '../support/context.ts';
import { openFulfilment } from '../support/fulfilment.ts';
import { COMPLETED_ONCE, trailsOf, whenAllSettled } from '../support/load.ts';
import { startWorkerProcess, type Running } from '../support/processes.ts';
import { until } from '../support/until.ts';
import {
  accept,
  fulfilledAt,
  jobStates,
  placeMany,
  processedBy,
  remaining,
} from '../support/worker-faults.ts';

// A worker process freezes, or is stopped with SIGTERM. Each test has a database of its own, because its workers would
// process the orders of other tests.

test('a worker that wakes up after another has taken over its orders changes nothing', async (t) => {
  const service = await ownService(t);
  const open: ServerResponse[] = []; // ten calls of the frozen worker, then ten of the other
  const { url } = await openFulfilment(t, (response) => open.push(response));
  // The worker opens a poller for each call. Retries become due one by one, and none waits for another.
  const env = fulfilledAt(url, service, { FULFILMENT_TIMEOUT_MS: '30000' });
  const frozen = await startWorkerProcess(t, env);
  const ids = await placeMany(service, 10);
  await until('the first worker to process all orders', () => open.length === 10);

  frozen.send('SIGSTOP');
  const other = await startWorkerProcess(t, env);
  await until('the other worker to process all orders', () => open.length === 20);
  open.slice(10, 15).forEach(accept); // five are completed; the other worker still processes five
  await until('the first five', () => remaining(service, 5));
  open.slice(0, 10).forEach(accept);
  frozen.send('SIGCONT');
  await until('the first worker to notice', () => notRecorded(frozen).length >= 5);
  frozen.send('SIGTERM');
  const { code } = await frozen.ended;
  open.slice(15).forEach(accept);
  await whenAllSettled(service.deps);

  t.is(code, 0);
  t.is(open.length, 20, 'no order was sent a third time');
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
  t.deepEqual(await completingProcesses(service), [other.pid]);
  t.deepEqual(await jobStates(service), { completed: ids.length });
});

test('a worker that is stopped finishes the orders that it has begun, and begins no others', async (t) => {
  const service = await ownService(t);
  const { url, calls } = await openFulfilment(t, (response) => setTimeout(accept, 500, response));
  const env = fulfilledAt(url, service);
  const worker = await startWorkerProcess(t, env);
  const ids = await placeMany(service, 200);
  await until(
    'the worker to process orders',
    async () => (await processedBy(service, worker)).length > 0,
  );

  worker.send('SIGTERM');
  const signalledAt = Date.now();
  const { code } = await worker.ended;
  const stopMs = Date.now() - signalledAt;
  const { active = 0, created = 0, completed = 0 } = await jobStates(service);
  const begun = calls.length;
  await startWorkerProcess(t, env);
  await whenAllSettled(service.deps);

  t.log(`stopped within ${stopMs} ms; ${completed} completed, ${created} left`);
  t.is(code, 0);
  t.true(stopMs < 20_000);
  t.is(active, 0);
  t.true(created > 0);
  t.is(completed, begun);
  t.is(calls.length, ids.length, 'no order was sent to the external step twice');
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
});

test('a worker that cannot finish in time returns its orders, and another processes them at once', async (t) => {
  const service = await ownService(t);
  let isHanging = true;
  const { url, calls } = await openFulfilment(t, (response) => {
    if (!isHanging) accept(response);
  });
  const env = fulfilledAt(url, service, { SHUTDOWN_TIMEOUT_SECONDS: '2' });
  const worker = await startWorkerProcess(t, env);
  const ids = await placeMany(service, 10);
  await until('the worker to process all orders', () => calls.length === ids.length);

  worker.send('SIGTERM');
  const { code, stderr } = await worker.ended;
  const states = await jobStates(service);
  isHanging = false;
  await startWorkerProcess(t, env);
  await whenAllSettled(service.deps);

  t.deepEqual([code, stderr], [0, '']);
  t.deepEqual(states, { retry: ids.length });
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
});

/** The log lines of a worker about orders whose end it could not record. */
function notRecorded({ logged }: Running) {
  return [...logged('fulfilment not recorded'), ...logged('fulfilment to be retried')];
}

/** The pids of the processes that have completed orders. */
async function completingProcesses({ deps }: Context): Promise<number[]> {
  const actors = await deps.pool.anyFirst(sql.type(z.object({ actor: z.string() }))`
    SELECT DISTINCT actor FROM order_events WHERE to_status = 'COMPLETED' ORDER BY actor
  `);
  return actors.map((actor) => Number(actor.split(':').at(-1)));
}
