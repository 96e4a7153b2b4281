import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { ClaimLost } from '../queue/boss.ts';
import {
  asWorker,
  claim,
  lookUp,
  ownService,
  signUp,
  test,
  type TestDeps,
} from '../../test/support/context.ts';
import { FULFILMENT_SECRET, openFulfilment, status } from '../../test/support/fulfilment.ts';
import { eventsOf, jobOf } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';
import { untilOrderIs, startWorker } from '../../test/support/workers.ts';
import { claims, WORKER_NAME, type OrderJob } from './processing.ts';
import { createSettlement } from './settlement.ts';

// Each test has a database of its own, because it claims all due jobs there.

test('answers that arrive together are settled, and one transaction ends the orders of final answers', async (t) => {
  const { deps } = await ownService(t);
  const jobs = await takenJobs(deps, 6);
  const settlement = createSettlement(asWorker(deps));

  const settled = await Promise.all(
    jobs.map((job, index) => {
      if (index % 3 === 0) return settlement.end(job, { status: 'COMPLETED' });
      if (index % 3 === 1) {
        return settlement.end(job, { status: 'FAILED', reason: `refused ${index}` });
      }
      return settlement.retry(job, { status: 'PROCESSING', reason: 'not now', seconds: 600 });
    }),
  );

  t.deepEqual(settled, [true, true, undefined, true, true, undefined]);
  const states = await Promise.all(jobs.map(({ id }) => lookUp(deps, id)));
  t.deepEqual(
    states.map(({ status: reached, job }) => `${reached} ${job}`),
    [1, 2].flatMap(() => ['COMPLETED completed', 'FAILED completed', 'PROCESSING retry']),
  );
  t.is((await eventsOf(deps, jobs[4]?.id ?? '')).at(-1)?.reason, 'refused 4');
  const Row = z.object({ transactions: z.number() });
  const written = await deps.pool.one(sql.type(Row)`
    SELECT count(DISTINCT xact_id)::int AS transactions FROM order_events WHERE version = 3
  `);
  t.is(written.transactions, 1);
});

test('an answer whose attempt has lost its claim does not affect the others', async (t) => {
  const { deps } = await ownService(t);
  const jobs = await takenJobs(deps, 5);
  const lost = jobs[2] as OrderJob;
  await deps.boss.fail('process-order', lost.id, { message: 'heartbeat lost' });
  const settlement = createSettlement(asWorker(deps));

  const settled = await Promise.allSettled(
    jobs.map((job) => settlement.end(job, { status: 'COMPLETED' })),
  );

  const rejected = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  t.is(rejected.length, 1);
  t.true(rejected[0] instanceof ClaimLost);
  for (const { id } of jobs.filter((job) => job !== lost)) {
    t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
  }
  t.deepEqual(await lookUp(deps, lost.id), { status: 'PROCESSING', version: 2, job: 'retry' });
});

test('an attempt that has lost its claim does not shorten the pauses that other answers ask for', async (t) => {
  const { deps } = await ownService(t);
  const [first, lost, last] = (await takenJobs(deps, 3)) as [OrderJob, OrderJob, OrderJob];
  await deps.boss.fail('process-order', lost.id, { message: 'heartbeat lost' });
  const settlement = createSettlement(asWorker(deps));

  const settled = await Promise.allSettled(
    [first, lost, last].map((job) =>
      settlement.retry(job, { status: 'PROCESSING', reason: 'not now', seconds: 600 }),
    ),
  );

  t.deepEqual(
    settled.map((one) => one.status === 'rejected' && one.reason instanceof ClaimLost),
    [false, true, false],
  );
  const pauses = [first, lost, last].map(async ({ id }) => {
    const { startAfter } = await jobOf(deps, id);
    return startAfter.getTime() > Date.now() + 500_000;
  });
  t.deepEqual(await Promise.all(pauses), [true, false, true]);
});

test('while one answer is slow, other orders are fulfilled', async (t) => {
  const slowAnswers: ServerResponse[] = [];
  const { url, calls } = await openFulfilment(t, (response, call) => {
    if (call.body.includes('Slow')) slowAnswers.push(response);
    else response.end();
  });
  const service = await ownService(t, {
    FULFILMENT_URL: url,
    FULFILMENT_SECRET,
    FULFILMENT_TIMEOUT_MS: '30000',
    FULFILMENT_CONCURRENCY: '2',
  });
  const user = await signUp(service);
  await startWorker(t, service);
  const slowOrder = await user.place({ product_name: 'Slow', amount: 1 });
  await until('the slow call', () => slowAnswers.length > 0);

  const others: string[] = [];
  for (let count = 0; count < 5; count += 1) others.push(await user.place());
  for (const id of others) await untilOrderIs(service.deps, id, 'COMPLETED');
  const meanwhile = await lookUp(service.deps, slowOrder);
  slowAnswers[0]?.end();

  t.deepEqual(meanwhile, { status: 'PROCESSING', version: 2, job: 'active' });
  t.is(await untilOrderIs(service.deps, slowOrder, 'COMPLETED'), 'COMPLETED');
  t.is(calls.length, 6);
});

test('an order is retried while another order of its batch still waits for an answer', async (t) => {
  const slowAnswers: ServerResponse[] = [];
  const { url, calls } = await openFulfilment(t, (response, call) => {
    const tries = calls.filter(({ body }) => !body.includes('Slow')).length;
    if (call.body.includes('Slow')) slowAnswers.push(response);
    else status(tries === 1 ? 503 : 200)(response, call);
  });
  const service = await ownService(t, {
    FULFILMENT_URL: url,
    FULFILMENT_SECRET,
    FULFILMENT_TIMEOUT_MS: '30000',
    FULFILMENT_CONCURRENCY: '2',
  });
  const user = await signUp(service);
  const slowOrder = await user.place({ product_name: 'Slow', amount: 1 });
  const retried = await user.place(); // both are claimed as one batch
  await startWorker(t, service);

  await untilOrderIs(service.deps, retried, 'COMPLETED');
  const meanwhile = await lookUp(service.deps, slowOrder);
  slowAnswers[0]?.end();

  t.is((await jobOf(service.deps, retried)).retryCount, 1);
  t.is(meanwhile.status, 'PROCESSING');
  t.is(await untilOrderIs(service.deps, slowOrder, 'COMPLETED'), 'COMPLETED');
});

/** The claimed jobs of new orders, which are PROCESSING. Sorted by id. */
async function takenJobs(deps: TestDeps, count: number): Promise<OrderJob[]> {
  const user = await signUp({ deps, origin: '' });
  await deps.pool.query(sql.unsafe`
    SELECT place_order(${user.id}, 'Kettle', 34.90) FROM generate_series(1, ${count})
  `);
  const jobs = (await claim(deps, 'process-order')) as OrderJob[];
  await asWorker(deps).pool.query(sql.unsafe`
    SELECT id FROM take_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, 1000)
  `);
  return jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
}
