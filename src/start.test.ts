import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { readPublicKeys } from './audit/keys.ts';
import { startedSession } from '../test/support/accounts.ts';
import { send, test } from '../test/support/context.ts';
import {
  environmentOf,
  freshSettings,
  pidOf,
  startEverything,
  temporaryFolder,
} from '../test/support/processes.ts';
import { until } from '../test/support/until.ts';

// Serial, because each test runs a whole system: several at a time would be too slow.

test.serial(
  'npm start starts everything, and the order of its suggested commands is completed',
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
  'the suggested psql command logs in as a DBA and shows the queue and the order',
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
    const results = [];
    for (const statement of [queues, timeline, 'SELECT session_user, current_user']) {
      results.push((await client.query<Record<string, string>>(statement)).rows);
    }
    await client.end();

    t.true(results[0]?.some(({ queue }) => queue === 'process-order'));
    t.true(results[1]?.some(({ order_id }) => order_id === id));
    t.deepEqual(results[2], [{ session_user: 'oms_dba', current_user: 'oms_dba' }]);
  },
);

test.serial('each process has in its environment only the settings that it needs', async (t) => {
  const { settings } = await freshSettings(t);
  const secrets = {
    JWT_SECRET: 'of-the-api-and-of-at-least-32-characters',
    FULFILMENT_URL: 'http://127.0.0.1:9/never-called',
    FULFILMENT_SECRET: 'c2VjcmV0',
    OTHER_TOKEN: 'of-another-program',
  };
  const started = await startEverything(t, { ...settings, ...secrets, LOG_LEVEL: 'warn' });
  const environments = ['src/api.ts', 'src/worker.ts', 'bin/postgres', 'redis-server'].map((name) =>
    environmentOf(pidOf(started, name) ?? 0),
  );

  const [api = {}, worker = {}, ...servers] = environments;
  const inherited = /^(PATH|HOME|NODE_|TMPDIR|TZ|LANG|LC_ALL|LD_LIBRARY_PATH|SSL_CERT_)/;
  const namesOf = (environment: object) =>
    Object.keys(environment)
      .filter((name) => !inherited.test(name))
      .sort();
  t.deepEqual(namesOf(api), [
    'DATABASE_URL',
    'JWT_SECRET',
    'LOG_LEVEL',
    'METRICS_PORT',
    'PORT',
    'REDIS_URL',
  ]);
  t.deepEqual(namesOf(worker), [
    'AUDIT_SIGNING_KEY_FILE',
    'DATABASE_URL',
    'FULFILMENT_SECRET',
    'FULFILMENT_URL',
    'LOG_LEVEL',
    'METRICS_PORT',
    'REDIS_URL',
  ]);
  t.deepEqual(servers.map(namesOf), [[], []]);
  t.is(new URL(api.DATABASE_URL ?? '').username, 'oms_api');
  t.is(new URL(worker.DATABASE_URL ?? '').username, 'oms_worker');
});

test.serial(
  'without Redis on the machine orders are completed, and one line reports the missing Redis',
  async (t) => {
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

    t.like(ready, { status: 200, body: { status: 'degraded' } });
    t.regex(
      started.stderr(),
      /^No REDIS_URL, and no redis-server or valkey-server on the PATH: .* without Redis\.$/m,
    );
    t.true(started.stdout().includes('Redis                   none (degraded)'));
  },
);

/** The commands in the welcome message that a user pastes into a shell. */
function suggestedCommands(screen: string): string {
  return screen.split('see it COMPLETED:')[1]?.split('Look at the queue')[0] ?? '';
}
