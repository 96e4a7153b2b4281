import { randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { send, signUp, test, withSettings, type Context } from '../../test/support/context.ts';

const ALL = [
  ['REGISTER', 'LOGIN', 'REFRESH', 'CREATE', 'LIST', 'CANCEL', 'READ', 'PUBLIC'],
].flatMap((names) => names.map((name) => `RATE_LIMIT_${name}`));

/** Load balancers ask for these all the time, and a refusal would take a healthy process out of service. */
const HEALTH = ['GET /livez', 'GET /readyz'];

test('every operation has a limit, except the health checks', async (t) => {
  const service = await withLimits(t, Object.fromEntries(ALL.map((name) => [name, '1'])));
  const user = await signUp(service);
  const { body: document } = await send(t.context.origin, 'GET', '/openapi.json');
  const paths = Object.entries<object>(document.paths);
  const documented = paths.flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  for (const [path, item] of paths)
    for (const { responses } of Object.values<{ responses: object }>({ ...item }))
      t.is('429' in responses, !HEALTH.includes(`GET ${path}`), path);
  const others = [
    ['GET /', 'GET /docs', 'GET /docs/', 'GET /docs/viewer.js', 'GET /openapi.json'],
    ['GET /problems', 'GET /problems/overloaded', 'GET /problems/none'],
    [
      'GET /nowhere',
      'POST /nowhere',
      'DELETE /orders',
      'OPTIONS /orders',
      'PROPFIND /',
      'PUT /docs',
    ],
    ['GET /orders/{id}/nothing', 'GET /AUTH/ME', 'GET /auth/me/', 'GET //orders', 'GET /%6frders'],
  ].flat();
  const operations = [...documented, ...others].filter((one) => !HEALTH.includes(one));

  for (const operation of operations) {
    const [method = '', path = ''] = operation.split(' ');
    const request = () => user.request(method, path.replace(/\{[^}]*\}/, randomUUID()));
    const first = await request();
    const second = await request();
    t.is(second.status, 429, `${operation} (first ${first.status})`);
  }
  t.true(operations.length > 30);
});

test('health checks are never refused', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '1' });

  for (let count = 0; count < 50; count += 1) {
    for (const check of HEALTH)
      t.is((await send(service.origin, 'GET', check.slice(4))).status, 200, check);
  }
});

test('requests that authentication refuses share one limit, and hinder no user of that network', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '3' });
  const user = await signUp(service);
  const headers = { authorization: 'Bearer garbage' };
  const attempt = async (method: string, path: string) =>
    (await send(service.origin, method, path, { headers })).status;

  const statuses = [
    await attempt('GET', '/orders'),
    await attempt('GET', `/orders/${randomUUID()}`),
    await attempt('GET', '/auth/me'),
    await attempt('POST', '/orders'),
    await attempt('POST', '/auth/logout-everywhere'),
  ];

  t.deepEqual(statuses, [401, 401, 401, 429, 429]);
  t.is((await user.request('GET', '/orders')).status, 200);
});

test('a client that rotates through an IPv6 /64 has one limit for documents', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '2', TRUSTED_PROXIES: '127.0.0.1' });
  const from = async (address: string) => {
    const headers = { 'x-forwarded-for': address };
    return (await send(service.origin, 'GET', '/docs', { headers })).status;
  };

  const rotated = [];
  for (let host = 1; host <= 6; host += 1) rotated.push(await from(`2001:db8:1:1::${host}`));

  t.deepEqual(rotated, [200, 200, 429, 429, 429, 429]);
  t.is(await from('2001:db8:1:2::1'), 200);
});

test('the count of a user goes on when Redis is emptied', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_READ: '4' });
  const user = await signUp(service);
  const read = async () => (await user.request('GET', `/orders/${randomUUID()}`)).status;

  const before = [await read(), await read()];
  await emptyRedis(service);
  const after = [await read(), await read(), await read(), await read()];

  t.deepEqual([...before, ...after], [404, 404, 404, 404, 429, 429]);
});

test('a request over the limit costs no call to Redis', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '2' });
  for (let count = 0; count < 3; count += 1) await send(service.origin, 'GET', '/docs');
  const counts = await countsIn(service);

  for (let count = 0; count < 20; count += 1) await send(service.origin, 'GET', '/docs');

  t.deepEqual(await countsIn(service), counts);
});

async function countsIn({ deps: { redis, config } }: Pick<Context, 'deps'>) {
  const keys = (await redis?.keys(`${config.REDIS_PREFIX}:*`)) ?? [];
  return redis?.mget(keys);
}

async function emptyRedis({ deps: { redis, config } }: Pick<Context, 'deps'>) {
  const keys = (await redis?.keys(`${config.REDIS_PREFIX}:*`)) ?? [];
  await redis?.del(keys);
}

/** All tests of this file have the same address, so each one counts under a prefix of its own. */
async function withLimits(t: ExecutionContext<Context>, settings: Record<string, string>) {
  const service = await withSettings(t, { REDIS_PREFIX: randomUUID(), ...settings });
  // On a busy machine, a reply of Redis can take longer than the usual limit of 400 ms.
  Object.assign(service.deps.redis?.options ?? {}, { commandTimeout: 9_000, socketTimeout: 9_000 });
  return service;
}
