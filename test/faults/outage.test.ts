import { pino } from 'pino';
import { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { migrate } from '../../src/migrate.ts';
import { closeService, openService, signUp, test } from '../support/context.ts';
import { COMPLETED_ONCE, placeSteadily, trailsOf, whenAllSettled } from '../support/load.ts';
import { startApiProcess, startWorkerProcess, temporaryFolder } from '../support/processes.ts';
import { startRestartablePostgres } from '../support/restartable-postgres.ts';
import { FAST_AND_FORGETFUL } from '../support/servers.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

// Serial, because each test starts a Postgres, and measures how long the recovery takes.

const RECOVERY_MS_MAX = 15_000;
/** More than the limit of 5 s for a connection, because test machines are slow. */
const ANSWER_MS_MAX = 15_000;

const outages = [
  ['restarted', 'fast', 0],
  ['killed and recovers', 'immediate', 0],
  ['stopped for 30 seconds', 'fast', 30_000],
] as const;

for (const [what, how, downMs] of outages) {
  test.serial(
    `when Postgres is ${what}, API and worker keep running, and no order is lost`,
    async (t) => {
      const { postgres, deps, api, worker } = await startService(t);
      const load = placeSteadily(t, [await signUp({ deps, origin: api.origin })]);
      await load.more(100);

      await postgres.restart(how, downMs);
      const backAt = Date.now();
      const first = await until('the first order after the outage', () =>
        load.outcomes.find(({ status, sentAt }) => status === 201 && sentAt >= backAt),
      );
      const takenMs = first.sentAt + first.tookMs - backAt;
      await load.more(100);
      await load.stop();
      await whenAllSettled(deps);
      const settledMs = Date.now() - backAt;

      const ids = load.acknowledged();
      const slowestMs = Math.max(...load.outcomes.map(({ tookMs }) => tookMs));
      t.log(
        `${ids.length} of ${load.outcomes.length} acknowledged; slowest answer ${slowestMs} ms`,
      );
      t.log(`back: first order after ${takenMs} ms, all orders completed after ${settledMs} ms`);
      t.deepEqual(load.statuses(), [201, 503], 'a request that met the outage got 503');
      t.true(slowestMs < ANSWER_MS_MAX, `${slowestMs} ms`);
      t.true(takenMs < RECOVERY_MS_MAX, `${takenMs} ms`);
      t.deepEqual(await trailsOf(deps, ids), { [COMPLETED_ONCE]: ids.length });
      t.true(api.isRunning() && worker.isRunning(), 'both processes have kept running');
      t.deepEqual([api.stderr(), worker.stderr()], ['', '']);
    },
  );
}

/** An API and a worker as processes, on a Postgres of their own. */
async function startService(t: Parameters<typeof startApiProcess>[0]) {
  const dataDir = takeDataDir(temporaryFolder(t));
  const postgres = await startRestartablePostgres(dataDir, 'orders', FAST_AND_FORGETFUL);
  t.teardown(postgres.stop);
  const env = { ...testEnvironment('orders'), DATABASE_URL: postgres.url };
  const config = loadConfig(Config, env);
  await migrate(config, pino({ level: 'silent' }));
  const service = await openService(config);
  t.teardown(() => closeService(service));
  const [api, worker] = await Promise.all([startApiProcess(t, env), startWorkerProcess(t, env)]);
  return { postgres, deps: service.deps, api, worker };
}
