import { ownService, signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { beforeStatus } from '../../test/support/obstacles.ts';
import { insertOrders } from '../../test/support/orders.ts';
import {
  allOrdersEnd,
  auditIsClean,
  countOrders,
  SMALL_BATCHES,
  watchClaims,
} from '../../test/support/process-loop.ts';
import { startWorkerProcess } from '../../test/support/processes.ts';
import { testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { startWorker } from '../../test/support/workers.ts';

// A worker without an external step gets a signal during a statement. Each test has a database of its own.

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.serial(
    `after a ${signal}, only the running batch of a worker ends, and another worker completes the rest at once`,
    async (t) => {
      const service = await ownService(t);
      const { deps, database } = service;
      const wasActive = await watchClaims(t, service);
      await beforeStatus(deps, 'Slow', 'COMPLETED', 'PERFORM pg_advisory_xact_lock(1)');
      const psql = await connectDba(t, service, 'postgres');
      await psql.rows('SELECT pg_advisory_lock(1)');
      const user = await signUp(service);
      await user.place({ product_name: 'Slow', amount: 1 });
      await insertOrders(deps, user.id, 29);
      const settings = { ...SMALL_BATCHES, WORKER_CONCURRENCY: '1' };
      const worker = await startWorkerProcess(t, testEnvironment(database, settings));
      await until('the worker to be busy', () =>
        psql.value(
          `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`,
        ),
      );

      worker.send(signal);
      if (signal === 'SIGTERM') {
        await until('the worker to be stopping', () => worker.logged('worker stopping').length > 0);
      } else {
        await worker.ended;
      }
      await psql.rows('SELECT pg_advisory_unlock(1)');
      const { code } = await worker.ended;
      await until('the batch to end', async () => (await countOrders(service)).completions > 0);
      const left = await countOrders(service);
      await startWorker(t, service);
      await allOrdersEnd(service);

      t.is(code, signal === 'SIGTERM' ? 0 : null);
      t.deepEqual(left, { open: 20, completions: 10 });
      t.deepEqual(await countOrders(service), { open: 0, completions: 30 });
      t.deepEqual(await wasActive(), []);
      await auditIsClean(t, service);
    },
  );
}
