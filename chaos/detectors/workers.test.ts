import {
  drain,
  lookUp,
  ownService,
  signUp,
  test,
  type Context,
} from '../../test/support/context.ts';
import { connectDba, claimJob } from '../../test/support/dba.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';
import { startWorker } from '../../test/support/workers.ts';

const TIMEOUT_MS = 12_000;

test('an order is processed even if no wake-up is published', async (t) => {
  const service = await ownService(t);
  const { id: userId } = await signUp(service);
  await startWorker(t, service);

  const [id = ''] = await insertOrders(service.deps, userId, 1); // by SQL, which publishes no wake-up

  await untilCompleted(service, id);
  t.is((await lookUp(service.deps, id)).status, 'COMPLETED');
});

test('another worker takes over the job of a dead worker', async (t) => {
  const service = await ownService(t);
  const { id: userId } = await signUp(service);
  const [id = ''] = await insertOrders(service.deps, userId, 1);
  await claimJob(service.deps, id);
  const { rows } = await connectDba(t, service, 'postgres');
  await rows(`UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id = $1`, [id]);
  await startWorker(t, service);

  await untilCompleted(service, id);
  t.is((await lookUp(service.deps, id)).status, 'COMPLETED');
});

test('a call of the external step has the id of the order as its Idempotency-Key', async (t) => {
  const { url, calls } = await openFulfilment(t, status(200));
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  await drain(deps, 'process-order');

  t.deepEqual(
    calls.map(({ headers }) => headers['idempotency-key']),
    [id],
  );
});

async function untilCompleted({ deps }: Context, id: string): Promise<void> {
  const isCompleted = async () => (await lookUp(deps, id)).status === 'COMPLETED';
  await until('the order to be completed', isCompleted, TIMEOUT_MS);
}
