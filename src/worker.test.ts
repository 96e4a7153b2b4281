import { randomUUIDv7 } from 'node:crypto';
import { lookUp, ownService, signUp, test } from '../test/support/context.ts';
import { beforeStatus, REFUSE } from '../test/support/obstacles.ts';
import { eventsOf, jobOf, leaveOneTry } from '../test/support/orders.ts';
import { until } from '../test/support/until.ts';
import { untilOrderIs, startWorker } from '../test/support/workers.ts';

// Each test has a database of its own, and a worker that runs as in production.

test('a worker completes orders that are placed while it runs', async (t) => {
  const service = await ownService(t);
  await startWorker(t, service);
  const user = await signUp(service);

  const ids = await Promise.all(Array.from({ length: 30 }, () => user.place()));

  for (const id of ids) await untilOrderIs(service.deps, id, 'COMPLETED');
  t.deepEqual(await lookUp(service.deps, ids[0] ?? ''), {
    status: 'COMPLETED',
    version: 3,
    job: 'completed',
  });
});

test('without Redis, a worker finds an order by itself', async (t) => {
  const service = await ownService(t, { REDIS_URL: '', WORKER_POLL_SECONDS: '0.5' });
  await startWorker(t, service);
  const user = await signUp(service);

  const id = await user.place();

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
});

test('an order that fails at its last attempt becomes FAILED, and another order is completed', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  await beforeStatus(deps, 'Poison', 'COMPLETED', REFUSE);
  const user = await signUp(service);
  const poison = await user.place({ product_name: 'Poison', amount: 1 });
  const neighbour = await user.place();
  await leaveOneTry(deps, poison);

  await startWorker(t, service);
  await untilOrderIs(deps, poison, 'FAILED');
  await untilOrderIs(deps, neighbour, 'COMPLETED');

  t.is((await jobOf(deps, poison)).state, 'failed');
  t.regex((await eventsOf(deps, poison)).at(-1)?.reason ?? '', /1 attempt: .*this one is poison/);
});

test('a job with a malformed payload fails at once with the reason, and another order is completed', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const malformed = randomUUIDv7();
  await deps.boss.insert('process-order', [{ id: malformed, data: { order_id: 'none' } }]);
  const id = await (await signUp(service)).place();

  await startWorker(t, service);
  await untilOrderIs(deps, id, 'COMPLETED');
  const job = await until('the malformed job to fail', async () => {
    const found = await jobOf(deps, malformed);
    return found.state === 'failed' && found;
  });

  t.is(job.retryCount, 0);
  t.deepEqual(job.output, { message: 'The payload is malformed.' });
});
