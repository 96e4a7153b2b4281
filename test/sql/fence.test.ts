import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import { claims, WORKER_NAME, type OrderJob } from '../../src/orders/processing.ts';
import { ClaimLost } from '../../src/queue/boss.ts';
import { violations } from '../support/audit.ts';
import {
  callDoorWith,
  claimAgain,
  claimedOrders,
  goSilent,
  rescue,
  retryOrder,
  type Claimed,
  type Service,
} from '../support/claims.ts';
import { asWorker, lookUp, test } from '../support/context.ts';

// A worker that was silent for a while continues with an attempt that it has lost. In every state of the job, the doors
// that end orders refuse the whole statement, with its other orders. take_orders leaves out the order of this attempt.
//
// Serial, because each test creates a database.

const OPEN = { status: 'PENDING', version: 1, job: 'active' };

/** The ways in which another worker gets a claim. Each returns that worker's claim. */
type Loss = (service: Service, job: Claimed, queue: QueueName) => Promise<Claimed>;

const losses: Record<string, Loss> = {
  async 'an operator has retried the order'(service, job) {
    await goSilent(service, 'process-order', job.id);
    await retryOrder(service, job.data.order_id);
    return claimAgain(service, 'process-order', job.id);
  },

  async 'the job was deleted, made again by an operator, and claimed with the same retry count'(
    service,
    job,
  ) {
    await service.deps.pool.query(sql.unsafe`DELETE FROM order_jobs WHERE id = ${job.id}`);
    await retryOrder(service, job.data.order_id);
    const again = await claimAgain(service, 'process-order', job.id);
    if (again.retryCount !== job.retryCount) throw new Error('the retry count differs');
    return again;
  },

  async 'pg-boss has given the job to another worker'(service, job, queue) {
    await rescue(service, queue, job.id);
    return claimAgain(service, queue, job.id);
  },
};

/** The door functions that a worker calls with claims. Each throws, or returns the orders that it has changed. */
const doors: Record<string, (service: Service, jobs: Claimed[]) => Promise<readonly string[]>> = {
  complete_orders: (service, jobs) =>
    callDoorWith(
      service,
      jobs.length,
      sql.fragment`complete_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, 1000)`,
    ),

  settle_orders: (service, jobs) =>
    callDoorWith(
      service,
      jobs.length,
      sql.fragment`settle_orders(${JSON.stringify(
        jobs.map(({ id, retryCount, data }, index) => ({
          id,
          retry_count: retryCount,
          data,
          status: index % 2 === 0 ? 'FAILED' : 'COMPLETED',
          reason: 'out of stock',
        })),
      )}::jsonb, ${WORKER_NAME}, 1000)`,
    ),
};

for (const [how, lose] of Object.entries(losses)) {
  for (const [name, door] of Object.entries(doors)) {
    test.serial(`${name} refuses the whole batch of a stale attempt: ${how}`, async (t) => {
      const { service, jobs } = await claimedOrders(t, 3);
      const [first, stale, last] = jobs as [Claimed, Claimed, Claimed];
      const current = await lose(service, stale, 'process-order');

      await t.throwsAsync(door(service, [first, stale, last]), { instanceOf: ClaimLost });
      await t.throwsAsync(door(service, [stale]), { instanceOf: ClaimLost });

      for (const { id } of jobs) t.deepEqual(await lookUp(service.deps, id), OPEN);
      t.is((await door(service, [first, current, last])).length, 3);
      t.deepEqual(await violations(service), []);
    });
  }

  test.serial(`take_orders does not take the order of a stale attempt: ${how}`, async (t) => {
    const { service, jobs } = await claimedOrders(t, 3);
    const [first, stale, last] = jobs as [Claimed, Claimed, Claimed];
    const current = await lose(service, stale, 'process-order');

    const taken = await takeOrders(service, [first, stale, last]);

    t.deepEqual(taken, [first.id, last.id].sort());
    t.deepEqual(await lookUp(service.deps, stale.id), OPEN);
    t.deepEqual(await takeOrders(service, [current]), [current.id]);
    t.deepEqual(await takeOrders(service, [stale]), [], 'also after the current attempt took it');
  });
}

test.serial(
  'an attempt that has taken its order cannot end it after an operator has retried it',
  async (t) => {
    const { service, jobs } = await claimedOrders(t, 1);
    const [stale] = jobs as [Claimed];
    await takeOrders(service, [stale]);
    await goSilent(service, 'process-order', stale.id);
    await retryOrder(service, stale.id);

    // No other worker has claimed the job yet.
    for (const door of Object.values(doors)) {
      await t.throwsAsync(door(service, [stale]), { instanceOf: ClaimLost });
    }

    const after = await lookUp(service.deps, stale.id);
    t.deepEqual(after, { status: 'PENDING', version: 3, job: 'retry' });
  },
);

test.serial('a rescued attempt is lost already before another worker claims the job', async (t) => {
  const { service, jobs } = await claimedOrders(t, 2);
  const [stale, other] = jobs as [Claimed, Claimed];
  await rescue(service, 'process-order', stale.id);

  for (const door of Object.values(doors)) {
    await t.throwsAsync(door(service, [other, stale]), { instanceOf: ClaimLost });
  }
  t.deepEqual(await takeOrders(service, [stale]), []);

  t.deepEqual(await lookUp(service.deps, stale.id), { ...OPEN, job: 'retry' });
  t.deepEqual(await lookUp(service.deps, other.id), OPEN);
});

test.serial('a claim with another retry count or other data is refused', async (t) => {
  const { service, jobs } = await claimedOrders(t, 1);
  const [job] = jobs as [Claimed];

  for (const forged of [
    { ...job, retryCount: job.retryCount + 1 },
    { ...job, data: { ...job.data, xact_id: '3' } },
    { ...job, data: { order_id: job.id } },
  ]) {
    for (const door of Object.values(doors)) {
      await t.throwsAsync(door(service, [forged]), { instanceOf: ClaimLost });
    }
    t.deepEqual(await takeOrders(service, [forged]), []);
  }

  t.deepEqual(await lookUp(service.deps, job.id), OPEN);
});

async function takeOrders({ deps }: Service, jobs: OrderJob[]): Promise<string[]> {
  const taken = await asWorker(deps).pool.anyFirst(sql.type(z.object({ id: z.guid() }))`
    SELECT id FROM take_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, 1000) ORDER BY id
  `);
  return [...taken];
}
