import type { ExecutionContext } from 'ava';
import type { JobWithMetadata } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../../jobs/queues.ts';
import { ClaimLost } from '../../src/queue/boss.ts';
import {
  asWorker,
  claim,
  lookUp,
  ownService,
  signUp,
  test,
  type Context,
} from '../support/context.ts';
import { violations } from '../support/audit.ts';
import { giveUp } from '../support/dba.ts';
import { insertOrders, jobOf } from '../support/orders.ts';
import { claims, fenced, WORKER_NAME, type OrderJob } from '../../src/orders/processing.ts';

// A worker that was silent for a while comes back with an attempt that it no longer holds. Its statement is refused,
// in each state that the job can be in by then, and so are the other orders of the same statement.
//
// Serial, since each test makes a database of its own.

type Service = Pick<Context, 'deps' | 'origin' | 'database'>;
type Claimed = JobWithMetadata & OrderJob;

/** The ways to lose a claim to another worker. Each returns that worker's claim. */
type Loss = (service: Service, job: Claimed, queue: QueueName) => Promise<Claimed>;

const losses: Record<string, Loss> = {
  async 'an operator has tried the order again'(service, job) {
    await goSilent(service, 'process-order', job.id);
    await retryOrder(service, job.data.order_id);
    return claimAgain(service, 'process-order', job.id);
  },

  async 'the job was deleted, made again by an operator, and claimed at the same count'(
    service,
    job,
  ) {
    await service.deps.pool.query(sql.unsafe`DELETE FROM order_jobs WHERE id = ${job.id}`);
    await retryOrder(service, job.data.order_id);
    const again = await claimAgain(service, 'process-order', job.id);
    if (again.retryCount !== job.retryCount) throw new Error('not the same count');
    return again;
  },

  async 'pg-boss has given the job to another worker'(service, job, queue) {
    await rescue(service, queue, job.id);
    return claimAgain(service, queue, job.id);
  },
};

/** The doors that a worker calls with claims, by name. Each throws, or returns the orders that it changed. */
const doors: Record<string, (service: Service, jobs: Claimed[]) => Promise<readonly string[]>> = {
  complete_orders: (service, jobs) =>
    call(
      service,
      jobs.length,
      sql.fragment`complete_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, 1000)`,
    ),

  settle_orders: (service, jobs) =>
    call(
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

      for (const { id } of jobs) {
        t.deepEqual(await lookUp(service.deps, id), {
          status: 'PENDING',
          version: 1,
          job: 'active',
        });
      }
      t.is((await door(service, [first, current, last])).length, 3);
      t.deepEqual(await violations(service), []);
    });
  }

  test.serial(`take_orders takes no order of a stale attempt: ${how}`, async (t) => {
    const { service, jobs } = await claimedOrders(t, 3);
    const [first, stale, last] = jobs as [Claimed, Claimed, Claimed];
    const current = await lose(service, stale, 'process-order');

    const taken = await takeOrders(service, [first, stale, last]);

    t.deepEqual(taken, [first.id, last.id].sort());
    t.deepEqual(await lookUp(service.deps, stale.id), {
      status: 'PENDING',
      version: 1,
      job: 'active',
    });
    t.deepEqual(await takeOrders(service, [current]), [current.id]);
    t.deepEqual(
      await takeOrders(service, [stale]),
      [],
      'nor is it told of one that another has taken',
    );
  });
}

test.serial(
  'an attempt that has taken its order cannot end it once an operator has tried it again',
  async (t) => {
    const { service, jobs } = await claimedOrders(t, 1);
    const [stale] = jobs as [Claimed];
    await takeOrders(service, [stale]);
    await goSilent(service, 'process-order', stale.id);
    await retryOrder(service, stale.id);

    for (const door of Object.values(doors)) {
      await t.throwsAsync(door(service, [stale]), { instanceOf: ClaimLost }); // not claimed again yet
    }

    t.deepEqual(await lookUp(service.deps, stale.id), {
      status: 'PENDING',
      version: 3,
      job: 'retry',
    });
  },
);

test.serial(
  'an attempt that was rescued is lost before another worker claims the job',
  async (t) => {
    const { service, jobs } = await claimedOrders(t, 2);
    const [stale, other] = jobs as [Claimed, Claimed];
    await rescue(service, 'process-order', stale.id);

    for (const door of Object.values(doors)) {
      await t.throwsAsync(door(service, [other, stale]), { instanceOf: ClaimLost });
    }
    t.deepEqual(await takeOrders(service, [stale]), []);

    t.deepEqual(await lookUp(service.deps, stale.id), {
      status: 'PENDING',
      version: 1,
      job: 'retry',
    });
    t.deepEqual(await lookUp(service.deps, other.id), {
      status: 'PENDING',
      version: 1,
      job: 'active',
    });
  },
);

test.serial(
  'an attempt cannot be passed off as another by naming other data or another count',
  async (t) => {
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

    t.deepEqual(await lookUp(service.deps, job.id), {
      status: 'PENDING',
      version: 1,
      job: 'active',
    });
  },
);

/** How a worker that has claimed a dead letter loses it. */
const letterLosses: Record<string, (service: Service, letter: Claimed) => Promise<unknown>> = {
  'pg-boss has given it to another worker': (service, letter) =>
    losses['pg-boss has given the job to another worker']?.(service, letter, 'fail-order') ??
    Promise.reject(new Error('unknown')),

  async 'an operator has tried the order again'(service, letter) {
    await rescue(service, 'fail-order', letter.id);
    await retryOrder(service, letter.data.order_id);
  },

  async 'it was deleted, and the job made again by an operator'(service, { id, data }) {
    await service.deps.pool.query(sql.unsafe`
      DELETE FROM pgboss.job WHERE id IN (${id}, ${data.order_id})
    `);
    await retryOrder(service, data.order_id);
    await claimAgain(service, 'process-order', data.order_id);
  },
};

for (const [how, lose] of Object.entries(letterLosses)) {
  test.serial(`fail_orders refuses the whole batch of a stale attempt: ${how}`, async (t) => {
    const service = await ownService(t);
    const { id: userId } = await signUp(service);
    const orders = await insertOrders(service.deps, userId, 2);
    for (const id of orders) await giveUp(service.deps, id);
    const letters = (await claim(service.deps, 'fail-order')) as unknown as Claimed[];
    const [stale, other] = letters as [Claimed, Claimed];
    await lose(service, stale);

    await t.throwsAsync(failOrders(service, [other, stale]), { instanceOf: ClaimLost });
    await t.throwsAsync(failOrders(service, [stale]), { instanceOf: ClaimLost });

    for (const id of orders)
      t.like(await lookUp(service.deps, id), { status: 'PENDING', version: 1 });
    t.is((await jobOf(service.deps, other.id, 'fail-order')).state, 'active');
    t.deepEqual(await failOrders(service, [other]), [other.data.order_id]);
  });
}

const OrderIds = z.object({ order_ids: z.array(z.guid()) });

/** Calls a door as a worker does. */
async function call({ deps }: Service, jobs: number, door: ReturnType<typeof sql.fragment>) {
  const calling = asWorker(deps).pool.one(sql.type(OrderIds)`SELECT ${door} AS order_ids`);
  const { order_ids } = await fenced(jobs, calling);
  return order_ids;
}

async function takeOrders({ deps }: Service, jobs: OrderJob[]): Promise<string[]> {
  const taken = await asWorker(deps).pool.anyFirst(sql.type(z.object({ id: z.guid() }))`
    SELECT id FROM take_orders(${claims(jobs)}::jsonb, ${WORKER_NAME}, 1000) ORDER BY id
  `);
  return [...taken];
}

function failOrders(service: Service, letters: Claimed[]): Promise<readonly string[]> {
  const batch = letters.map(({ id, retryCount, data: { order_id } }) => ({
    id,
    retry_count: retryCount,
    order_id,
    reason: 'out of stock',
  }));
  const door = sql.fragment`fail_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, 1000)`;
  return call(service, batch.length, door);
}

/** New orders in a database of their own, and the claims of a worker on their jobs. */
async function claimedOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  await insertOrders(service.deps, (await signUp(service)).id, count);
  return { service, jobs: (await claim(service.deps, 'process-order')) as unknown as Claimed[] };
}

/** Claims a job as another worker would, before it is due. */
async function claimAgain({ deps }: Service, queue: QueueName, id: string): Promise<Claimed> {
  const [job] = (await claim(deps, queue, { early: true })) as unknown as Claimed[];
  if (job?.id !== id) throw new Error(`claimed ${job?.id}, not ${id}`);
  return job;
}

/** Sets the last heartbeat of the worker that holds a job to an hour ago. */
async function goSilent({ deps }: Service, queue: QueueName, id: string): Promise<void> {
  await deps.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour', started_on = now() - interval '1 hour'
    WHERE name = ${queue} AND id = ${id}
  `);
}

/** Makes pg-boss release the job of a worker without a heartbeat. */
async function rescue(service: Service, queue: QueueName, id: string): Promise<void> {
  await goSilent(service, queue, id);
  await service.deps.boss.supervise(queue);
  const { state } = await jobOf(service.deps, id, queue);
  if (state !== 'retry') throw new Error(`job ${id} is ${state}`);
}

async function retryOrder({ deps }: Service, id: string): Promise<void> {
  await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${id}, 'its worker is silent')`);
}
