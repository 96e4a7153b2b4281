import { sql } from 'slonik';
import {
  emptyDatabase,
  ownService,
  send,
  signUp,
  test,
  withDeps,
  withSettings,
} from '../../test/support/context.ts';
import { behindGate } from '../../test/support/database-gate.ts';
import { onServer, testConfig } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { newestMigration } from '../db/migrate/migrations.ts';
import { openPool } from '../db/pool.ts';
import { Probe } from './probe.ts';

const NO_REDIS = 'redis://127.0.0.1:1'; // nothing listens on this port

/** Waits for a detailed readiness with these members: on a busy machine, the state can be known later. */
function readinessAt(internal: string, members: Record<string, unknown>) {
  return until(`readiness ${JSON.stringify(members)}`, async () => {
    const reply = await send(internal, 'GET', '/readyz');
    return Object.entries(members).every(([name, value]) => reply.body[name] === value) && reply;
  });
}

test('a running process is alive, on both ports', async (t) => {
  for (const origin of [t.context.origin, t.context.internal]) {
    const { status, body } = await send(origin, 'GET', '/livez');

    t.deepEqual([status, body], [200, { status: 'ok' }]);
  }
});

test('a service with its database and Redis is ready, and tells strangers nothing else', async (t) => {
  const { status, body } = await readinessAt(t.context.internal, { database: 'ok' });
  const plain = await send(t.context.origin, 'GET', '/readyz');

  t.is(status, 200);
  t.like(body, {
    status: 'ok',
    database: 'ok',
    schema: 'ok',
    redis: 'ok',
    history: 'ok',
    intake: 'ok',
  });
  t.deepEqual([plain.status, plain.body], [200, { status: 'ok' }]);
});

test('the public port has no metrics', async (t) => {
  t.is((await send(t.context.origin, 'GET', '/metrics')).status, 404);
});

test('a service without Redis is ready, and reports that it is degraded', async (t) => {
  const off = await withSettings(t, { REDIS_URL: '' });
  const away = await withSettings(t, { REDIS_URL: NO_REDIS });

  const replies = [
    await readinessAt(off.internal, { database: 'ok' }),
    await readinessAt(away.internal, { database: 'ok' }),
  ];

  t.deepEqual(
    replies.map(({ status, body }) => [status, body.status, body.redis]),
    [
      [200, 'degraded', 'off'],
      [200, 'degraded', 'away'],
    ],
  );
});

test('a service whose database has not been migrated is not ready, and reports what is missing', async (t) => {
  const { pool, probe } = await onDatabase(t, await emptyDatabase(t));
  const service = await withDeps(t, { pool, probe });

  const { status, body } = await readinessAt(service.internal, { schema: 'missing all' });

  t.is(status, 503);
  t.like(body, { status: 'unavailable', database: 'ok', redis: 'ok' });
});

test('a service whose database is a version behind is not ready, and reports the missing migration', async (t) => {
  const newest = await newestMigration();
  const service = await ownService(t);
  const { pool } = service.deps;
  await pool.query(sql.unsafe`DELETE FROM migrations WHERE name = ${newest}`);

  const behind = await readinessAt(service.internal, { schema: `missing ${newest}` });
  await pool.query(sql.unsafe`INSERT INTO migrations (name, sha256) VALUES (${newest}, '')`);
  const migrated = await readinessAt(service.internal, { schema: 'ok' });

  t.deepEqual([behind.status, migrated.status], [503, 200]);
});

test('while the database is away, a service is alive but not ready, and replies 503 with Retry-After', async (t) => {
  const { service, gate } = await behindGate(t);
  const { token } = await signUp(t.context);
  const headers = { authorization: `Bearer ${token}` };
  const before = await readinessAt(service.internal, { database: 'ok' });
  gate.close();

  const away = await readinessAt(service.internal, { database: 'away' });
  const ready = await send(service.origin, 'GET', '/readyz');
  const alive = await send(service.origin, 'GET', '/livez');
  const orders = await send(service.origin, 'GET', '/orders', { headers });

  t.is(before.status, 200);
  t.is(away.status, 503);
  t.like(away.body, { status: 'unavailable', schema: 'unknown', redis: 'ok' });
  t.deepEqual([ready.status, ready.body], [503, { status: 'unavailable' }]);
  t.is(alive.status, 200);
  t.deepEqual([orders.status, orders.body.type], [503, '/problems/unavailable']);
  t.is(orders.headers.get('retry-after'), '1');
});

test('a database that accepts connections but sends nothing counts as away', async (t) => {
  const { service, gate } = await behindGate(t);
  await readinessAt(service.internal, { database: 'ok' });
  gate.hang();

  const { status } = await readinessAt(service.internal, { database: 'away' });

  t.is(status, 503);
});

test('a service whose database is read-only is not ready, although it answers', async (t) => {
  const service = await ownService(t);
  await onServer(`ALTER DATABASE ${service.database} SET default_transaction_read_only = on`);
  const { pool, probe } = await onDatabase(t, service.database);
  const behind = await withDeps(t, { pool, probe });

  const { status, body } = await readinessAt(behind.internal, { database: 'read-only' });

  t.is(status, 503);
  t.like(body, { status: 'unavailable', schema: 'ok' });
});

test('a service that may not write is not ready, although the database is writable', async (t) => {
  const service = await ownService(t);
  await service.deps.pool.query(sql.unsafe`REVOKE EXECUTE ON FUNCTION leave_mark FROM oms_api`);

  const { status, body } = await readinessAt(service.internal, { database: 'writes-fail' });

  t.is(status, 503);
  t.is(body.status, 'unavailable');
});

type T = Parameters<typeof emptyDatabase>[0];

/** A pool and a probe on another database. */
async function onDatabase(t: T, database: string) {
  const { log, outage } = t.context.deps;
  const config = testConfig(database);
  const pool = await openPool(config, log);
  const probe = new Probe(config, 'test', { log, outage });
  await probe.open();
  t.teardown(() => probe.close());
  t.teardown(() => pool.end());
  return { pool, probe };
}
