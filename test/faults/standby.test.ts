import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Client } from 'pg';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { migrate } from '../../src/migrate.ts';
import { closeService, openService, send, signUp, test } from '../support/context.ts';
import { startApiProcess, temporaryFolder } from '../support/processes.ts';
import { startRestartablePostgres } from '../support/restartable-postgres.ts';
import { FAST_AND_FORGETFUL } from '../support/servers.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

const KETTLE = { product_name: 'Kettle', amount: '34.90' };

test.serial(
  'while a synchronous standby is missing, orders get 503 and the API is not ready; later a repeat finds the order',
  async (t) => {
    const { postgres, api, deps, isReady } = await startOwnService(t);
    const user = await signUp({ deps, origin: api.origin });
    const owner = new Client(postgres.url);
    await owner.connect();
    t.teardown(() => owner.end());
    const waitForStandby = async (name: string) => {
      await owner.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
      await owner.query('SELECT pg_reload_conf()');
    };
    const key = { 'idempotency-key': randomUUID() };

    await waitForStandby('missing');
    await until('the missing standby to be noticed', () => isReady(503, 'commits-hang'));
    const hung = await user.request('POST', '/orders', KETTLE, key);
    const behind = await user.request('POST', '/orders', KETTLE);
    await waitForStandby('');
    await until('readiness after the standby', () => isReady(200, 'ok'));
    const repeated = await user.request('POST', '/orders', KETTLE, key);

    for (const { status, body, headers } of [hung, behind]) {
      t.deepEqual([status, body.type], [503, '/problems/overloaded']);
      t.regex(headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    }
    t.deepEqual([repeated.status, repeated.headers.get('idempotent-replayed')], [201, 'true']);
    const placed = await deps.pool.anyFirst(sql.type(z.object({ id: z.guid() }))`
      SELECT id FROM orders
    `);
    t.true(placed.includes(repeated.body.id));
    t.true(placed.length <= 2, 'at most the two orders that were sent');
  },
);

test.serial(
  'on a standby, orders get 503 and the API is not ready; when it is promoted, nothing counts as lost',
  async (t) => {
    const { postgres, dataDir, api, deps, isReady } = await startOwnService(t);
    const user = await signUp({ deps, origin: api.origin });
    const before = await user.place();

    writeFileSync(`${dataDir.path('postgres')}/standby.signal`, '');
    await postgres.restart('fast');
    await until('the standby to be noticed', () => isReady(503, 'standby'));
    const refused = await user.request('POST', '/orders', KETTLE);
    const promoter = new Client(postgres.url);
    await promoter.connect();
    await promoter.query('SELECT pg_promote()');
    await promoter.end();
    await until('readiness after the promotion', () => isReady(200, 'ok'));
    const after = await user.request('POST', '/orders', KETTLE);

    t.deepEqual([refused.status, refused.body.type], [503, '/problems/unavailable']);
    t.regex(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    t.is(after.status, 201);
    t.is((await user.request('GET', `/orders/${before}`)).status, 200);
    t.is((await send(api.internal, 'GET', '/readyz')).body.history, 'ok');
  },
);

/** An API on a Postgres of its own. `isReady` says whether `/readyz` has this status, and shows this database. */
async function startOwnService(t: Parameters<typeof startApiProcess>[0]) {
  const dataDir = takeDataDir(temporaryFolder(t));
  const postgres = await startRestartablePostgres(dataDir, 'orders', FAST_AND_FORGETFUL);
  t.teardown(postgres.stop);
  const env = { ...testEnvironment('orders'), DATABASE_URL: postgres.url };
  const config = loadConfig(Config, env);
  await migrate(config, pino({ level: 'silent' }));
  const service = await openService(config);
  t.teardown(() => closeService(service));
  const api = await startApiProcess(t, { ...env, REQUEST_TIMEOUT_SECONDS: '2' });
  const isReady = async (status: number, database: string) => {
    const publicly = await send(api.origin, 'GET', '/readyz');
    const { body } = await send(api.internal, 'GET', '/readyz');
    return publicly.status === status && body.database === database;
  };
  await until('readiness', () => isReady(200, 'ok'));
  return { postgres, dataDir, api, deps: service.deps, isReady };
}
