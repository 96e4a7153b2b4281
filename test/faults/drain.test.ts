import { Agent, request } from 'node:http';
import { ownService, send, signUp, test } from '../support/context.ts';
import { openFulfilment } from '../support/fulfilment.ts';
import { startApiProcess, startWorkerProcess } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';
import { accept, fulfilledAt, placeMany } from '../support/worker-faults.ts';

// A process that stops, as a load balancer sees it.

test('an API that drains is not ready, but places orders, and ends each connection with its reply', async (t) => {
  const { database, deps } = await ownService(t);
  const settings = { DRAIN_SECONDS: '10' }; // more than the requests below take
  const api = await startApiProcess(t, testEnvironment(database, settings));
  const user = await signUp({ deps, origin: api.origin });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  t.is(await connectionOf(agent, `${api.origin}/readyz`), 'keep-alive');

  api.send('SIGTERM');
  const readiness = await until('the API not to be ready', async () => {
    const { status, body } = await send(api.origin, 'GET', '/readyz');
    return status === 503 && body;
  });
  const ended = await connectionOf(agent, `${api.origin}/livez`);
  const placed = await user.request('POST', '/orders', { product_name: 'Kettle', amount: '1.00' });

  t.deepEqual(readiness, { status: 'stopping' });
  t.is(ended, 'close');
  t.is(placed.status, 201);
  t.is((await api.ended).code, 0);
});

test('a worker that stops is not ready while it finishes its orders', async (t) => {
  const service = await ownService(t);
  const open: Parameters<typeof accept>[0][] = [];
  const { url } = await openFulfilment(t, (response) => open.push(response));
  const worker = await startWorkerProcess(t, fulfilledAt(url, service));
  await placeMany(service, 1);
  await until('the order to be sent', () => open.length === 1);

  worker.send('SIGTERM');
  const readiness = await until('the worker not to be ready', async () => {
    const { status, body } = await send(worker.internal, 'GET', '/readyz');
    return status === 503 && body;
  });
  open.forEach(accept);

  t.like(readiness, { status: 'stopping', database: 'ok' });
  t.is((await worker.ended).code, 0);
});

/** The header Connection of the reply to a request on a kept connection. */
function connectionOf(agent: Agent, url: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.headers.connection));
    });
    asked.on('error', reject).end();
  });
}
