import { connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { queues as allQueues } from '../../jobs/queues.ts';
import { createWorkerApp } from '../app.ts';
import { createQueue } from '../queue/boss.ts';
import { newestMigration } from '../db/migrate/migrations.ts';
import { openPool } from '../db/pool.ts';
import { closeDeps, openDeps } from '../deps.ts';
import { listen, portOf, serve } from '../http/server.ts';
import {
  drain,
  emptyDatabase,
  send,
  signUp,
  test,
  withDeps,
  withSettings,
  type Context,
  type TestReply,
} from '../../test/support/context.ts';
import { databaseUrl, testConfig } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';

const NO_REDIS = 'redis://127.0.0.1:1'; // nothing listens on this port

test('a running process is alive', async (t) => {
  const reply = await send(t.context.origin, 'GET', '/livez');

  t.deepEqual([reply.status, reply.body], [200, { status: 'ok' }]);
});

test('a service with its database and Redis is ready', async (t) => {
  const reply = await readinessOf(t.context.origin);

  t.is(reply.status, 200);
  t.deepEqual(reply.body, { status: 'ok', database: 'ok', schema: 'ok', redis: 'ok' });
});

test('a service without Redis is ready, and reports that it is degraded', async (t) => {
  const off = await withSettings(t, { REDIS_URL: '' });
  const away = await withSettings(t, { REDIS_URL: NO_REDIS });

  const replies = [await readinessOf(off.origin), await readinessOf(away.origin)];

  const degraded = { status: 'degraded', database: 'ok', schema: 'ok' };
  t.deepEqual(
    replies.map(({ status }) => status),
    [200, 200],
  );
  t.deepEqual(
    replies.map(({ body }) => body),
    [
      { ...degraded, redis: 'off' },
      { ...degraded, redis: 'away' },
    ],
  );
});

test('a service whose database has not been migrated is not ready, and reports what is missing', async (t) => {
  const config = testConfig(await emptyDatabase(t));
  const pool = await openPool(config, t.context.deps.log);
  t.teardown(() => pool.end());
  const service = await withDeps(t, { pool });

  const reply = await readinessOf(service.origin);

  t.is(reply.status, 503);
  const expected = { status: 'unavailable', database: 'ok', schema: 'missing all', redis: 'ok' };
  t.deepEqual(reply.body, expected);
});

test('a service whose database is a version behind is not ready, and reports the missing migration', async (t) => {
  const name = await emptyDatabase(t);
  const pool = await openPool(testConfig(name), t.context.deps.log);
  t.teardown(() => pool.end());
  await pool.query(sql.unsafe`CREATE TABLE migrations (name text NOT NULL)`);
  const service = await withDeps(t, { pool });

  const behind = await readinessOf(service.origin);
  const newest = await newestMigration();
  await pool.query(sql.unsafe`INSERT INTO migrations (name) VALUES (${newest})`);
  const migrated = await readinessOf(service.origin);

  t.deepEqual([behind.status, behind.body.schema], [503, `missing ${newest}`]);
  t.deepEqual([migrated.status, migrated.body.schema], [200, 'ok']);
});

test('while the database is away, a service is alive but not ready, and replies 503 with Retry-After', async (t) => {
  const { service, gate } = await behindGate(t);
  const { token } = await signUp(t.context);
  const headers = { authorization: `Bearer ${token}` };
  const before = await readinessOf(service.origin);
  gate.close();

  const ready = await send(service.origin, 'GET', '/readyz');
  const alive = await send(service.origin, 'GET', '/livez');
  const orders = await send(service.origin, 'GET', '/orders', { headers });

  t.is(before.status, 200);
  t.is(ready.status, 503);
  const expected = { status: 'unavailable', database: 'away', schema: 'unknown', redis: 'ok' };
  t.deepEqual(ready.body, expected);
  t.is(alive.status, 200);
  t.deepEqual([orders.status, orders.body.type], [503, '/problems/unavailable']);
  t.is(orders.headers.get('retry-after'), '1');
});

test('a database that accepts connections but sends nothing counts as away before the pool gives up', async (t) => {
  const { service, gate } = await behindGate(t);
  gate.hang();

  const pool = service.deps.pool.query(sql.unsafe`SELECT 1`).catch(() => 'the pool gave up');
  const ready = send(service.origin, 'GET', '/readyz');
  const first = await Promise.race([pool, ready]);

  const { status, body } = await ready;
  t.deepEqual([status, body.database], [503, 'away']);
  t.not(first, 'the pool gave up');
});

test('the metrics count orders and requests', async (t) => {
  const service = await withSettings(t, {});
  const user = await signUp(service);
  const before = await metricsOf(service.origin);

  await user.place();
  const cancelled = await user.place();
  await user.request('PUT', `/orders/${cancelled}/cancellation`);
  await user.request('PUT', `/orders/${cancelled}/cancellation`);

  const after = await metricsOf(service.origin);
  const count = 'oms_http_request_duration_seconds_count';
  t.is(before.get('oms_orders_placed_total'), 0);
  t.is(after.get('oms_orders_placed_total'), 2);
  t.is(after.get('oms_orders_cancelled_total'), 1);
  t.is(after.get(`${count}{method="POST",route="/orders",status="201"}`), 2);
  t.is(after.get(`${count}{method="PUT",route="/orders/:id/cancellation",status="200"}`), 2);
  t.true((after.get('process_resident_memory_bytes') ?? 0) > 0);
});

// Serial, because it drains the queue, and other tests of this file need their orders to stay PENDING.
test.serial(
  'the metrics of a worker count finished orders, and the jobs of each queue',
  async (t) => {
    const config = testConfig(t.context.database, {}, 'oms_worker');
    const base = await openDeps(config, 'worker');
    const queue = createQueue(config, base.log, { supervise: false });
    await queue.boss.start();
    t.teardown(async () => {
      await queue.close(0);
      await closeDeps(base);
    });
    const deps = { ...base, boss: queue.boss };
    const server = await serve(createWorkerApp(deps), 0, '127.0.0.1');
    t.teardown(() => server.close().closeAllConnections());
    const origin = `http://127.0.0.1:${portOf(server)}`;
    const user = await signUp(t.context);
    await user.place();

    await deps.boss.supervise('process-order');
    const queued = await metricsOf(origin);
    await drain({ ...deps, boss: t.context.deps.boss }, 'process-order');
    await deps.boss.supervise('process-order');
    const drained = await metricsOf(origin);

    const ready = 'oms_queue_jobs{queue="process-order",state="ready"}';
    t.true((queued.get(ready) ?? 0) >= 1);
    t.true((queued.get('oms_queue_oldest_ready_seconds{queue="process-order"}') ?? -1) >= 0);
    t.is(queued.get('oms_orders_finished_total{status="COMPLETED"}'), undefined);
    t.true((drained.get('oms_orders_finished_total{status="COMPLETED"}') ?? 0) >= 1);
    t.true(
      (drained.get(
        'oms_job_batch_duration_seconds_count{queue="process-order",outcome="handled"}',
      ) ?? 0) >= 1,
    );
    const queues = [...drained.keys()].filter((name) => /oms_queue_jobs.*state="ready"/.test(name));
    t.is(queues.length, Object.keys(allQueues).length);
  },
);

/** The first reply of /readyz that reports the database as ok. On a busy machine, earlier checks can time out. */
function readinessOf(origin: string): Promise<TestReply> {
  return until('the database to be ok', async () => {
    const reply = await send(origin, 'GET', '/readyz');
    return reply.body.database === 'ok' && reply;
  });
}

/** The value of every sample, by name and labels. */
async function metricsOf(origin: string): Promise<Map<string, number>> {
  const { body, type } = await send(origin, 'GET', '/metrics');
  if (!type?.startsWith('text/plain')) throw new Error(`metrics came as ${type}`);
  const samples = String(body)
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

/** An API that connects to the database through a gate, which the test can close. */
async function behindGate(t: ExecutionContext<Context>) {
  const url = new URL(databaseUrl(t.context.database));
  const address = { host: url.hostname, port: Number(url.port || 5432) };
  const sockets = new Set<Socket>();
  let hanging = false;
  const gateway = createServer((socket) => {
    const beyond = connect(address);
    for (const end of [socket, beyond]) sockets.add(end.on('error', () => end.destroy()));
    if (!hanging) socket.pipe(beyond).pipe(socket);
  });
  const port = await listen(gateway, 0, '127.0.0.1');
  const gate = {
    hang: () => {
      hanging = true;
      for (const socket of sockets) socket.unpipe();
    },
    close: () => {
      gateway.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  url.host = `127.0.0.1:${port}`;
  const config = { ...t.context.deps.config, DATABASE_URL: url.href };
  const pool = await openPool(config, t.context.deps.log);
  t.teardown(() => pool.end());
  t.teardown(gate.close); // runs before pool.end, which would wait for the database
  return { service: await withDeps(t, { pool }), gate };
}
