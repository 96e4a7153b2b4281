import { randomUUIDv7 } from 'node:crypto';
import { lookUp, ownService, signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { beforeStatus, REFUSE } from '../../test/support/obstacles.ts';
import { insertOrders, jobOf } from '../../test/support/orders.ts';
import {
  auditIsClean,
  completingAttempts,
  SMALL_BATCHES,
} from '../../test/support/process-loop.ts';
import { until } from '../../test/support/until.ts';
import { untilOrderIs, startWorker } from '../../test/support/workers.ts';

// A worker without an external step claims only the jobs that it cannot process without a claim. Each test has a
// database of its own. The tests are serial, because some wait for several seconds.

const SETTINGS = { ...SMALL_BATCHES, WORKER_POLL_SECONDS: '0.5' };

test.serial(
  'an order that cannot be completed is retried until it can be, and does not affect the others',
  async (t) => {
    const service = await ownService(t, SETTINGS);
    const { deps } = service;
    const mend = await beforeStatus(deps, 'Poison', 'COMPLETED', REFUSE);
    const user = await signUp(service);
    const before = await insertOrders(deps, user.id, 5);
    const poison = await user.place({ product_name: 'Poison', amount: 1 });
    const after = await insertOrders(deps, user.id, 25);

    await startWorker(t, service);
    for (const id of [...before, ...after]) await untilOrderIs(deps, id, 'COMPLETED');
    const failed = await until('the poison to fail', async () => {
      const job = await jobOf(deps, poison);
      return job.state === 'retry' && job;
    });
    const meanwhile = await lookUp(deps, poison);
    await mend();
    await untilOrderIs(deps, poison, 'COMPLETED');

    t.regex(JSON.stringify(failed.output), /this one is poison/);
    t.like(meanwhile, { status: 'PENDING', version: 1 });
    const attempts = await completingAttempts(service);
    t.true((attempts.get(poison) ?? 0) >= 2);
    t.true([...before, ...after].every((id) => attempts.get(id) === 1));
    await auditIsClean(t, service);
  },
);

for (const table of ['orders', 'order_jobs']) {
  test.serial(
    `an order whose row in ${table} is locked is completed when the lock is released`,
    async (t) => {
      const service = await ownService(t, SETTINGS);
      const { deps } = service;
      const user = await signUp(service);
      const [locked = '', ...others] = await insertOrders(deps, user.id, 25);
      const { rows } = await connectDba(t, service, 'postgres');
      await rows('BEGIN');
      await rows(`SELECT id FROM ${table} WHERE id = $1 FOR UPDATE`, [locked]);

      await startWorker(t, service);
      for (const id of others) await untilOrderIs(deps, id, 'COMPLETED');
      const meanwhile = await lookUp(deps, locked);
      await rows('COMMIT');
      await untilOrderIs(deps, locked, 'COMPLETED');

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

test.serial(
  'a job whose order does not exist is claimed after 5 seconds, and completed',
  async (t) => {
    const service = await ownService(t, { WORKER_POLL_SECONDS: '0.5' });
    const { deps } = service;
    const orphan = randomUUIDv7();
    await deps.boss.insert('process-order', [
      { id: orphan, data: { order_id: orphan, xact_id: '3' } },
    ]);
    const [id = ''] = await insertOrders(deps, (await signUp(service)).id, 1);

    await startWorker(t, service);
    await untilOrderIs(deps, id, 'COMPLETED');
    const job = await until('the job to be completed', async () => {
      const found = await jobOf(deps, orphan);
      return found.state === 'completed' && found;
    });

    const waitedMs = job.startedOn.getTime() - job.startAfter.getTime();
    t.true(waitedMs > 5_000, `${waitedMs} ms`);
  },
);
