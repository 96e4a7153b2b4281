import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import { readPublicKeys } from './audit/keys.ts';
import { listen } from './http/server.ts';
import { logIn, PASSWORD, startedSession } from '../test/support/accounts.ts';
import { send, test } from '../test/support/context.ts';
import {
  commandOf,
  commandsIn,
  environmentOf,
  freshSettings,
  isAlive,
  pidOf,
  startEverything,
  startProgram,
  temporaryFolder,
} from '../test/support/processes.ts';
import { databaseUrl } from '../test/support/template.ts';
import { until } from '../test/support/until.ts';

// Serial, because each brings up a whole system: six at a time would starve one another.

test.serial(
  'one command brings everything up, and the order that it suggests is completed',
  async (t) => {
    const { settings, origin } = await freshSettings(t);
    const started = await startEverything(t, settings);

    const suggestion = suggestedCommands(started.stdout());
    const { stdout, stderr } = spawnSync('bash', ['-c', suggestion], { encoding: 'utf8' });

    const [registered = '', placed = '', listed = ''] = stdout.trim().split('\n');
    t.is(stderr, '');
    t.is(JSON.parse(registered).name, 'Ada');
    t.is(JSON.parse(placed).status, 'PENDING');
    t.like(JSON.parse(listed).orders, [{ id: JSON.parse(placed).id, status: 'COMPLETED' }]);
    t.true(started.stdout().includes(`Documentation           ${origin}/docs`));
    t.is((await send(origin, 'GET', '/docs')).status, 200);
    t.is(readPublicKeys(join(settings.DATA_DIR, 'audit-key.pem')).size, 1);
    const workerMetrics = /of the worker (\S+)/.exec(started.stdout())?.[1] ?? '';
    t.regex(
      await (await fetch(workerMetrics)).text(),
      /orders_finished_total\{status="COMPLETED"\} 1/,
    );
  },
);

test.serial(
  'the login for psql that it suggests is a DBA’s, and shows the queue and the order',
  async (t) => {
    const { settings, origin } = await freshSettings(t);
    const started = await startEverything(t, settings);
    const { access: headers } = await startedSession({ origin });
    const body = { product_name: 'Kettle', amount: '34.90' };
    const { id } = (await send(origin, 'POST', '/orders', { headers, body })).body;

    const [, url, queues = '', timeline = ''] =
      /psql '(\S+)'\s+(TABLE .*;)\s+(SELECT .*;)/.exec(started.stdout()) ?? [];
    const client = new Client(url);
    await client.connect();
    const asked = [];
    for (const statement of [queues, timeline, 'SELECT session_user, current_user']) {
      asked.push((await client.query<Record<string, string>>(statement)).rows);
    }
    await client.end();

    t.true(asked[0]?.some(({ queue }) => queue === 'process-order'));
    t.true(asked[1]?.some(({ order_id }) => order_id === id));
    t.deepEqual(asked[2], [{ session_user: 'oms_dba', current_user: 'oms_dba' }]);
  },
);

test.serial('every process has its own secrets in its environment, and no other’s', async (t) => {
  const { settings } = await freshSettings(t);
  const secrets = {
    JWT_SECRET: 'of-the-api-and-of-at-least-32-characters',
    FULFILMENT_URL: 'http://127.0.0.1:9/never-called',
    FULFILMENT_SECRET: 'c2VjcmV0',
    OTHER_TOKEN: 'of-somebody-else',
  };
  const started = await startEverything(t, { ...settings, ...secrets, LOG_LEVEL: 'warn' });
  const environments = ['src/api.ts', 'src/worker.ts', 'bin/postgres', 'redis-server'].map((name) =>
    environmentOf(pidOf(started, name) ?? 0),
  );

  const [api = {}, worker = {}, ...servers] = environments;
  const ofUs = /^(PATH|HOME|NODE_|TMPDIR|TZ|LANG|LC_ALL|LD_LIBRARY_PATH|SSL_CERT_)/;
  const namesOf = (environment: object) =>
    Object.keys(environment)
      .filter((name) => !ofUs.test(name))
      .sort();
  t.deepEqual(namesOf(api), ['DATABASE_URL', 'JWT_SECRET', 'LOG_LEVEL', 'PORT', 'REDIS_URL']);
  t.deepEqual(namesOf(worker), [
    'AUDIT_SIGNING_KEY_FILE',
    'DATABASE_URL',
    'FULFILMENT_SECRET',
    'FULFILMENT_URL',
    'LOG_LEVEL',
    'REDIS_URL',
    'WORKER_PORT',
  ]);
  t.deepEqual(servers.map(namesOf), [[], []]);
  t.is(new URL(api.DATABASE_URL ?? '').username, 'oms_api');
  t.is(new URL(worker.DATABASE_URL ?? '').username, 'oms_worker');
});

test.serial('without a Redis on the machine everything works, and one line says so', async (t) => {
  const { settings, origin } = await freshSettings(t);
  const PATH = temporaryFolder(t);
  for (const program of ['setpriv', 'id']) {
    const { stdout } = spawnSync('which', [program], { encoding: 'utf8' });
    symlinkSync(stdout.trim(), join(PATH, program));
  }
  const started = await startEverything(t, { ...settings, PATH });

  const ready = await send(origin, 'GET', '/readyz');
  const { access: headers } = await startedSession({ origin });
  const body = { product_name: 'Kettle', amount: '34.90' };
  const { id } = (await send(origin, 'POST', '/orders', { headers, body })).body;
  const order = () => send(origin, 'GET', `/orders/${id}`, { headers });
  await until('the order', async () => (await order()).body.status === 'COMPLETED');

  t.like(ready, { status: 200, body: { status: 'degraded', redis: 'off' } });
  t.regex(started.stderr(), /^No REDIS_URL and no redis-server on the PATH: .* without Redis\.$/m);
  t.true(started.stdout().includes('Redis                   none (degraded)'));
});

test.serial(
  'Ctrl-C leaves no process behind, and the next start finds everything again',
  async (t) => {
    const { settings, origin } = await freshSettings(t);
    const first = await startEverything(t, settings);
    const user = await startedSession({ origin });
    const order = { product_name: 'Kettle', amount: '34.90' };
    const headers = user.access;
    const placed = await send(origin, 'POST', '/orders', { headers, body: order });
    const processes = first.descendants();

    first.send('SIGINT');
    const { code } = await first.ended;
    const left = processes.filter(isAlive).map(commandOf);
    await startEverything(t, settings);
    const sameToken = await send(origin, 'GET', `/orders/${placed.body.id}`, { headers });
    const sameUser = await logIn({ origin }, user.email, PASSWORD);

    t.is(code, 0);
    t.true(processes.length >= 4, 'Postgres, Redis, API and worker at least');
    t.deepEqual(left, []);
    t.is(sameUser.status, 200);
    t.is(sameToken.status, 200);
    t.like(sameToken.body, { ...order, id: placed.body.id });
  },
);

test.serial('a process that dies is started again', async (t) => {
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

test.serial('a Redis that dies is started again where it was', async (t) => {
  const { settings, origin } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const redis = pidOf(started, 'redis-server') ?? 0;
  const isReady = async (status: string) =>
    (await send(origin, 'GET', '/readyz')).body.status === status;

  process.kill(redis, 'SIGKILL');
  await until('another one', () => (pidOf(started, 'redis-server') ?? redis) !== redis);
  await until('the API to use it', () => isReady('ok'));

  t.regex(started.stderr(), /^Redis ended unexpectedly; starting it again$/m);
});

test.serial('a Postgres that dies takes the rest with it, and one line says so', async (t) => {
  const { settings } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const processes = started.descendants();

  process.kill(pidOf(started, 'bin/postgres') ?? 0, 'SIGKILL');
  const { code, stderr } = await started.ended;

  t.is(code, 1);
  t.regex(stderr, /^Postgres ended unexpectedly; stopping the rest\.$/m);
  await until('all to end', () => !processes.some(isAlive));
});

test.serial('nothing goes on running when the start program itself is killed', async (t) => {
  const { settings } = await freshSettings(t);
  const started = await startEverything(t, settings);
  const processes = started.descendants();

  started.send('SIGKILL');
  await until('the end of all', () => !processes.some(isAlive), 30_000).catch(() => null);

  t.deepEqual(processes.filter(isAlive).map(commandOf), []);
  t.true(processes.length >= 4);
});

test.serial('Ctrl-C while it starts leaves no process behind', async (t) => {
  const { settings } = await freshSettings(t);
  const starting = startProgram(t, 'start', settings);
  await until('the database to be made', () => pidOf(starting, 'initdb'));

  const processes = starting.descendants();
  starting.send('SIGINT');
  const { code, stdout, stderr } = await starting.ended;

  t.deepEqual([code, stdout, stderr], [0, '', 'Starting Postgres …\n']);
  t.deepEqual(processes.filter(isAlive).map(commandOf), []);
});

test.serial('a first start that was killed halfway is simply begun again', async (t) => {
  const { settings, origin } = await freshSettings(t);
  const killed = startProgram(t, 'start', settings);
  const unfinished = join(settings.DATA_DIR, 'postgres.new');
  await until('the database to be half made', () => existsSync(join(unfinished, 'base')));
  const processes = killed.descendants();
  killed.send('SIGKILL');
  await until('the end of all', () => !processes.some(isAlive));
  mkdirSync(unfinished, { recursive: true }); // initdb may have had the time to clean up
  writeFileSync(join(unfinished, 'half'), 'a file');

  await startEverything(t, settings);

  t.is((await send(origin, 'GET', '/readyz')).body.status, 'ok');
  t.false(existsSync(unfinished));
});

test.serial(
  'a second start in the same folder says in one line who is there already',
  async (t) => {
    const { settings } = await freshSettings(t);
    const first = startProgram(t, 'start', settings);
    await until('it to take the folder', () => existsSync(join(settings.DATA_DIR, 'lock')));

    const second = await startProgram(t, 'start', settings).ended;

    t.deepEqual([second.code, second.stdout], [1, '']);
    t.is(
      second.stderr,
      `${settings.DATA_DIR} is in use by process ${first.pid}; ` +
        'stop it, or set DATA_DIR to another folder\n',
    );
    t.true(first.isRunning());
  },
);

test.serial('a port that is taken is reported in one line, and all is stopped again', async (t) => {
  const { settings } = await freshSettings(t);
  const squatter = createServer();
  await listen(squatter, Number(settings.PORT), '127.0.0.1');
  t.teardown(() => squatter.close());
  const starting = startProgram(t, 'start', settings);
  await until('Postgres to run', () => pidOf(starting, 'bin/postgres'));

  const processes = starting.descendants();
  const { code, stdout, stderr } = await starting.ended;

  t.deepEqual([code, stdout], [1, '']);
  t.regex(stderr, /^Starting Postgres …\nThe port is taken; set PORT to a free one \([^\n]+\)\n$/);
  t.deepEqual(processes.filter(isAlive).map(commandOf), []);
});

test.serial(
  'a folder that holds something other than a database is left alone, and named',
  async (t) => {
    const { settings } = await freshSettings(t);
    const folder = join(settings.DATA_DIR, 'postgres');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'photo.jpg'), 'not a database');

    const { code, stdout, stderr } = await startProgram(t, 'start', settings).ended;

    t.deepEqual([code, stdout], [1, '']);
    t.is(
      stderr,
      `Starting Postgres …\n${folder} is not a Postgres data directory; ` +
        'move it away and start again\n',
    );
    t.true(existsSync(join(folder, 'photo.jpg')));
  },
);

test.serial(
  'a database that refuses us is reported in one line, and all is stopped again',
  async (t) => {
    const { settings } = await freshSettings(t);
    const url = new URL(databaseUrl(t.context.database));
    [url.username, url.password] = ['nobody', 'wrong'];
    const starting = startProgram(t, 'start', { ...settings, DATABASE_URL: url.href });

    const { code, stdout, stderr } = await starting.ended;

    const [last, ...before] = stderr.trim().split('\n').toReversed();
    t.deepEqual([code, stdout], [1, '']);
    t.regex(last ?? '', /^The database refused (user or password|the user) of DATABASE_URL \(/);
    t.deepEqual(before, ['Bringing the database up to date …']);
    t.deepEqual(commandsIn(settings.DATA_DIR), []);
  },
);

/** The lines of the welcome that are there to be pasted into a shell. */
function suggestedCommands(screen: string): string {
  return screen.split('see it COMPLETED:')[1]?.split('Look at the queue')[0] ?? '';
}
