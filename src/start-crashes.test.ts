import { startedSession } from '../test/support/accounts.ts';
import { send, test } from '../test/support/context.ts';
import {
  commandOf,
  freshSettings,
  isAlive,
  pidOf,
  startEverything,
} from '../test/support/processes.ts';
import { until } from '../test/support/until.ts';

// Serial, like start.test.ts.

test.serial('an API or a worker that is killed is started again', async (t) => {
  const { settings, origin } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const [api = 0, worker = 0] = [pidOf(started, 'api.ts'), pidOf(started, 'worker.ts')];

  process.kill(api, 'SIGKILL');
  process.kill(worker, 'SIGKILL');
  await until('new processes', () => {
    const [newApi = api, newWorker = worker] = ['api.ts', 'worker.ts'].map((name) =>
      pidOf(started, name),
    );
    return newApi !== api && newWorker !== worker;
  });
  const isReady = () => send(origin, 'GET', '/readyz').then(({ status }) => status === 200);
  await until('the new API', () => isReady().catch(() => false));
  const { access: headers } = await startedSession({ origin });
  const body = { product_name: 'Kettle', amount: '34.90' };
  const { id } = (await send(origin, 'POST', '/orders', { headers, body })).body;
  const statusNow = async () =>
    (await send(origin, 'GET', `/orders/${id}`, { headers })).body.status;
  await until('the new worker', async () => (await statusNow()) === 'COMPLETED');

  t.regex(started.stderr(), /^api ended \(SIGKILL\); starting it again in 500 ms$/m);
  t.regex(started.stderr(), /^worker ended \(SIGKILL\); starting it again in 500 ms$/m);
  t.true(started.isRunning());
});

test.serial('a Redis that is killed is started again on the same port', async (t) => {
  const { settings, origin } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const redis = pidOf(started, 'redis-server') ?? 0;
  const isReady = async (status: string) =>
    (await send(origin, 'GET', '/readyz')).body.status === status;

  process.kill(redis, 'SIGKILL');
  await until('another Redis', () => (pidOf(started, 'redis-server') ?? redis) !== redis);
  await until('the API to use it', () => isReady('ok'));

  t.regex(started.stderr(), /^Redis ended \(SIGKILL\); starting it again in 500 ms$/m);
});

test.serial(
  'when Postgres is killed, everything else stops, and one line reports it',
  async (t) => {
    const { settings } = await freshSettings(t);
    const started = await startEverything(t, settings);
    const processes = started.descendants();

    process.kill(pidOf(started, 'bin/postgres') ?? 0, 'SIGKILL');
    const { code, stderr } = await started.ended;

    t.is(code, 1);
    t.regex(stderr, /^Postgres ended unexpectedly; stopping the rest\.$/m);
    await until('all processes to end', () => !processes.some(isAlive));
  },
);

test.serial('when npm start itself is killed, all its processes end', async (t) => {
  const { settings } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const processes = started.descendants();

  started.send('SIGKILL');
  await until('all processes to end', () => !processes.some(isAlive), 30_000).catch(() => null);

  t.deepEqual(processes.filter(isAlive).map(commandOf), []);
  t.true(processes.length >= 4);
});
