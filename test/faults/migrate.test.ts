import { schemaState } from '../../src/db/schema-version.ts';
import { signUp, test } from '../support/context.ts';
import { COMPLETED_ONCE, placeSteadily, trailsOf, whenAllSettled } from '../support/load.ts';
import { editableSources, migratedDatabase } from '../support/migrating.ts';
import { startApiProcess, startWorkerProcess } from '../support/processes.ts';
import { openPool } from '../../src/db/pool.ts';
import { createTokenKeys } from '../../src/users/token-keys.ts';
import { testEnvironment } from '../support/template.ts';

test('no request fails and no order is lost when a migrate runs while API and worker are under load', async (t) => {
  const { database, config, log, migrate, logged } = await migratedDatabase(t);
  const sources = await editableSources(t);
  // Requests may wait long for an altered table on a busy machine. They must not fail.
  const env = testEnvironment(database, { INTAKE_LOCK_TIMEOUT_MS: '9000' });
  const [api, worker] = await Promise.all([startApiProcess(t, env), startWorkerProcess(t, env)]);
  const pool = await openPool(config, log);
  t.teardown(() => pool.end());
  const tokenKeys = createTokenKeys(config);
  const load = placeSteadily(t, [await signUp({ deps: { pool, tokenKeys }, origin: api.origin })]);
  await load.more(50);

  await migrate();
  await load.more(50);
  await sources.append(
    'functions/orders_guard.sql',
    `\nCOMMENT ON TRIGGER orders_10_guard_update ON orders IS 'new';`,
  );
  await sources.replace(
    'functions/orders_handoff.sql',
    'AND current_user::text <> ',
    'AND NOT current_user::text = ',
  );
  await sources.replace('ops/queues.sql', ' AS counted_ago', ' AS counted_ago, 1 AS one_more');
  await sources.write(
    'migrations/9000_more.sql',
    `
    CREATE TABLE more (id int);
    ALTER TABLE orders ADD COLUMN more int;
    CREATE INDEX more_ix ON order_events (xact_id);
  `,
  );
  await migrate({ sources });
  await load.more(50);
  await load.stop();
  await whenAllSettled({ pool });

  const ids = load.acknowledged();
  const slowestMs = Math.max(...load.outcomes.map(({ tookMs }) => tookMs));
  t.log(`${ids.length} orders, ${logged.length} waits; slowest ${slowestMs} ms`);
  t.deepEqual(load.statuses(), [201]);
  t.deepEqual(await trailsOf({ pool }, ids), { [COMPLETED_ONCE]: ids.length });
  t.is(await schemaState(pool), 'ok');
  t.deepEqual([api.stderr(), worker.stderr()], ['', '']);
});
