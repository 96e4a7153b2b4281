import { randomUUIDv7 } from 'node:crypto';
import { asRole } from '../db/roles.ts';
import { createQueue } from './boss.ts';
import { Pollers } from './pollers.ts';
import { ownService, test } from '../../test/support/context.ts';
import { jobOf } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';

test('pg-boss settles the jobs of a batch, except those that the handler reports as settled', async (t) => {
  const service = await ownService(t);
  const { config } = service.deps;
  const DATABASE_URL = asRole(config.DATABASE_URL, 'oms_worker');
  const { log } = service.deps;
  const { boss, close } = createQueue({ ...config, DATABASE_URL }, log, { supervise: false });
  await boss.start();
  t.teardown(() => close(0));
  const deps = { boss, log };
  const [settled, other] = [randomUUIDv7(), randomUUIDv7()];
  // As the superuser: a worker may not make jobs of orders.
  await service.deps.boss.insert('process-order', [
    { id: settled, data: { order_id: settled } },
    { id: other, data: { order_id: other } },
  ]);
  const handled: string[] = [];

  const pollers = new Pollers(deps, 'process-order', { batchSize: 2 }, async (_poller, jobs) => {
    handled.push(...jobs.map(({ id }) => id));
    return [
      { id: settled, status: 'completed', settled: true },
      { id: other, status: 'completed' },
    ];
  });
  await pollers.open();
  await until(
    'the other job to be completed',
    async () => (await jobOf(deps, other)).state === 'completed',
  );

  t.deepEqual(handled.sort(), [settled, other].sort());
  t.is((await jobOf(deps, settled)).state, 'active'); // nothing has settled it
});
