import { signUp, test } from '../../test/support/context.ts';
import { connectDba, claimJob } from '../../test/support/dba.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';
import { startWorker } from '../../test/support/workers.ts';
import { lookUp, ownService, drain } from '../../test/support/context.ts';

const PATIENCE_MS = 12_000;

test('an order is processed although Redis tells no worker of it', async (t) => {
  const service = await ownService(t);
  const { id: userId } = await signUp(service);
  await startWorker(t, service);

  const [id = ''] = await insertOrders(service.deps, userId, 1); // from SQL, which publishes nothing

  await until(
    'the order to be completed',
    async () => (await lookUp(service.deps, id)).status === 'COMPLETED',
    PATIENCE_MS,
  );
  t.is((await lookUp(service.deps, id)).status, 'COMPLETED');
});

test('the job of a worker that has died is taken over', async (t) => {
  const service = await ownService(t);
  const { id: userId } = await signUp(service);
  const [id = ''] = await insertOrders(service.deps, userId, 1);
  await claimJob(service.deps, id);
  const { rows } = await connectDba(t, service, 'postgres');
  await rows(`UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id = $1`, [id]);
  await startWorker(t, service);

  await until(
    'the order to be completed',
    async () => (await lookUp(service.deps, id)).status === 'COMPLETED',
    PATIENCE_MS,
  );
  t.is((await lookUp(service.deps, id)).status, 'COMPLETED');
});

test('the external step is called with the id of the order as Idempotency-Key', async (t) => {
  const { url, calls } = await openFulfilment(t, status(200));
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  await drain(deps, 'process-order');

  t.deepEqual(
    calls.map(({ headers }) => headers['idempotency-key']),
    [id],
  );
});
