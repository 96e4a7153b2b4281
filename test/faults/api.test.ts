import { createServer } from 'node:net';
import { sql } from 'slonik';
import { z } from 'zod';
import { listen } from '../../src/http/server.ts';
import { ownService, send, signUp, test } from '../support/context.ts';
import { testRedisUrl } from '../support/environment.ts';
import { placeSteadily } from '../support/load.ts';
import { startApiProcess, startProgram } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

test('an API that is stopped answers every request that it has accepted', async (t) => {
  const { database, deps } = await ownService(t);
  const api = await startApiProcess(t, testEnvironment(database));
  const user = await signUp({ deps, origin: api.origin });
  const load = placeSteadily(t, [user], 16);
  await load.more(100);

  api.send('SIGTERM');
  const signalledAt = Date.now();
  const { code, stderr } = await api.ended;
  const stopMs = Date.now() - signalledAt;
  await load.stop();

  const stored = await deps.pool.anyFirst(sql.type(z.object({ id: z.string() }))`
    SELECT id FROM orders ORDER BY id
  `);
  t.log(`stopped within ${stopMs} ms`);
  t.deepEqual([code, stderr], [0, '']);
  t.true(stopMs < 20_000);
  t.deepEqual(
    load.acknowledged().sort(),
    [...stored],
    'the stored orders are the acknowledged ones',
  );
  t.deepEqual(load.statuses(), [0, 201], 'every request gets 201 or no connection');
});

test('two API processes share one rate limit', async (t) => {
  const { database, deps } = t.context;
  const env = testEnvironment(database, { RATE_LIMIT_CREATE: '20', REDIS_URL: patientRedisUrl() });
  const apis = await Promise.all([startApiProcess(t, env), startApiProcess(t, env)]);
  for (const { origin } of apis) await until('Redis to be connected', () => isReady(origin));
  const { token, id } = await signUp(t.context);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ product_name: 'Kettle', amount: '34.90' });

  const replies = await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      fetch(`${apis[index % 2]?.origin}/orders`, { method: 'POST', headers, body }),
    ),
  );

  const stored = await deps.pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM orders WHERE user_id = ${id}
  `);
  const statuses = replies.map(({ status }) => status);
  t.is(statuses.filter((status) => status === 201).length, 20);
  t.is(statuses.filter((status) => status === 429).length, 40);
  t.is(stored, 20);
});

test('an API whose port is taken ends with one line that says so', async (t) => {
  const other = createServer();
  const port = await listen(other, 0, '127.0.0.1');
  t.teardown(() => other.close());
  const env = testEnvironment(t.context.database, { PORT: String(port) });

  const { code, stdout, stderr } = await startProgram(t, 'api', env).ended;

  t.deepEqual([code, stdout], [1, '']);
  t.regex(
    stderr,
    new RegExp(
      `^The port is taken; set PORT or METRICS_PORT to a free one \\([^\\n]+${port}\\)\\n$`,
    ),
  );
});

/**
 * The URL of Redis with longer timeouts for ioredis. On a busy machine a reply can take longer than the usual 400 ms,
 * and then each process would count for itself.
 */
function patientRedisUrl(): string {
  const url = new URL(testRedisUrl());
  url.search = 'commandTimeout=none&socketTimeout=60000';
  return url.href;
}

async function isReady(origin: string): Promise<boolean> {
  return (await send(origin, 'GET', '/readyz')).body.status === 'ok';
}
