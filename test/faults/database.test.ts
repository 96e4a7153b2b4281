import { freePort } from '../../src/local/free-port.ts';
import { emptyDatabase, ownService, signUp, test } from '../support/context.ts';
import { COMPLETED_ONCE, placeSteadily, trailsOf, whenAllSettled } from '../support/load.ts';
import { startApiProcess, startProgram, startWorkerProcess } from '../support/processes.ts';
import { databaseUrl, onServer, testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

const CUTS = 5;

test('no acknowledged order is lost when all connections to the database are cut under load', async (t) => {
  const service = await ownService(t);
  const env = testEnvironment(service.database);
  const [api, worker] = await Promise.all([startApiProcess(t, env), startWorkerProcess(t, env)]);
  const user = await signUp({ deps: service.deps, origin: api.origin });
  const load = placeSteadily(t, [user]);
  const moreOrders = async (count: number) => {
    const wanted = load.acknowledged().length + count;
    await until(`${count} more orders`, () => load.acknowledged().length >= wanted);
  };

  for (let cut = 0; cut < CUTS; cut += 1) {
    await moreOrders(50);
    await onServer(`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = '${service.database}'
    `);
  }
  await moreOrders(50);
  await load.stop();
  await whenAllSettled(service.deps);

  const ids = load.acknowledged();
  t.log(`${ids.length} of ${load.outcomes.length} acknowledged`);
  t.deepEqual(load.statuses(), [201, 503], 'a request that met a cut got 503');
  t.true(ids.length > load.outcomes.length / 2);
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
  t.true(api.isRunning() && worker.isRunning(), 'both processes have kept running');
  t.deepEqual([api.stderr(), worker.stderr()], ['', '']);
});

for (const program of ['api', 'worker', 'migrate'] as const) {
  test(`${program} ends with one line when no database is at the address`, async (t) => {
    const nowhere = `postgres://postgres@127.0.0.1:${await freePort()}/orders`;
    const env = testEnvironment('', { DATABASE_URL: nowhere });

    const { code, stdout, stderr } = await startProgram(t, program, env).ended;

    t.deepEqual([code, stdout], [1, '']);
    t.regex(stderr, /^Nothing answers at the address of DATABASE_URL \([^\n]+\)\n$/);
  });

  test(`${program} ends with one line when the database does not know the user`, async (t) => {
    const url = new URL(databaseUrl(t.context.database));
    [url.username, url.password] = ['unknown', 'wrong'];
    const env = testEnvironment('', { DATABASE_URL: url.href });

    const { code, stdout, stderr } = await startProgram(t, program, env).ended;

    t.deepEqual([code, stdout], [1, '']);
    t.regex(
      stderr,
      /^The database refused (user or password|the user) of DATABASE_URL \([^\n]+\)\n$/,
    );
  });

  test(`${program} ends with one line when the database does not exist`, async (t) => {
    const env = testEnvironment('no_such_database');

    const { code, stdout, stderr } = await startProgram(t, program, env).ended;

    t.deepEqual([code, stdout], [1, '']);
    t.regex(stderr, /^The database named in DATABASE_URL does not exist \([^\n]+\)\n$/);
  });
}

for (const program of ['api', 'worker'] as const) {
  test(`${program} does not start on a database without migrations, and names the command to run`, async (t) => {
    const env = testEnvironment(await emptyDatabase(t));

    const { code, stderr } = await startProgram(t, program, env).ended;

    t.is(code, 1);
    t.regex(stderr, /^[^\n]*npm run migrate\n$/);
  });
}
