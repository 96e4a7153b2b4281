import { spawnSync } from 'node:child_process';
import { pino } from 'pino';
import { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { freePort } from '../../src/local/free-port.ts';
import { ensureDatabase, startPostgresIn } from '../../src/local/postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { closeService, openService, send, signUp, test } from '../support/context.ts';
import { startApiProcess, temporaryFolder } from '../support/processes.ts';
import { FAST_AND_FORGETFUL } from '../support/servers.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

const LOST = /^the database has lost transactions that it had acknowledged/;

test.serial(
  'when an older copy replaces the database, an API logs and shows what is lost, and goes on working',
  async (t) => {
    const folder = temporaryFolder(t);
    const dataDir = takeDataDir(folder);
    const port = await freePort();
    const start = () => startPostgresIn(dataDir, FAST_AND_FORGETFUL, port);
    let postgres = await start();
    t.teardown(() => postgres.stop());
    await ensureDatabase(postgres, 'orders');
    const env = { ...testEnvironment('orders'), DATABASE_URL: postgres.url('orders') };
    await migrate(loadConfig(Config, env), pino({ level: 'silent' }));
    await postgres.stop();
    spawnSync('cp', ['-a', dataDir.path('postgres'), `${folder}/older`]);

    postgres = await start();
    const api = await startApiProcess(t, env);
    const service = await openService(loadConfig(Config, env));
    const user = await signUp({ deps: service.deps, origin: api.origin });
    const ids = [await user.place(), await user.place()];
    await closeService(service);
    const readiness = async () => (await send(api.internal, 'GET', '/readyz')).body;
    await until('a mark', async () => (await readiness()).database === 'ok');
    await postgres.stop();
    spawnSync('rm', ['-rf', dataDir.path('postgres')]);
    spawnSync('mv', [`${folder}/older`, dataDir.path('postgres')]);
    postgres = await start();

    const lines = () =>
      api
        .stdout()
        .split('\n')
        .flatMap((line) => (line.startsWith('{') && LOST.test(JSON.parse(line).msg) ? [line] : []));
    const lost = await until('the lost orders', () =>
      lines()
        .map((line) => JSON.parse(line))
        .find(({ lost_orders }) => lost_orders > 0),
    );
    await until('the metric', async () => {
      const { body } = await send(api.internal, 'GET', '/metrics');
      return String(body).includes('\noms_database_history_lost 1\n');
    });
    t.is(lost.lost_orders, 2);
    t.deepEqual(lost.order_ids.toSorted(), ids.toSorted());
    t.like(await readiness(), { status: 'degraded', history: 'lost', database: 'ok' });
    t.true(lines().length <= 2, 'one line about the mark, one about the orders');
  },
);
