import type { ExecutionContext } from 'ava';
import { randomUUID } from 'node:crypto';
import { logIn, newEmail, refresh, register } from '../../test/support/accounts.ts';
import { send, signUp, test, withSettings, type Context } from '../../test/support/context.ts';

test('a user over the limit gets 429, and Retry-After says how long to wait', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_LIST: '2' });
  const user = await signUp(service);

  const first = await user.request('GET', '/orders');
  const second = await user.request('GET', '/orders');
  const third = await user.request('GET', '/orders');

  t.deepEqual([first.status, second.status, third.status], [200, 200, 429]);
  t.is(first.headers.get('ratelimit-policy'), '"list";q=2;w=60');
  t.is(first.headers.get('ratelimit'), '"list";r=1;t=60');
  t.regex(third.headers.get('ratelimit') ?? '', /^"list";r=0;t=(60|5\d)$/);
  t.regex(third.headers.get('retry-after') ?? '', /^(60|5\d)$/);
  t.is(first.headers.get('retry-after'), null);
  t.like(third.body, {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail: 'At most 2 of these requests are allowed per minute.',
    'violated-policies': ['list'],
  });
});

test('each limit counts its own requests', async (t) => {
  const one = Object.fromEntries(
    ['REGISTER', 'LOGIN', 'REFRESH', 'CREATE', 'LIST', 'CANCEL'].map((n) => [
      `RATE_LIMIT_${n}`,
      '1',
    ]),
  );
  const service = await withLimits(t, one);
  const user = await signUp(service);
  const order = { product_name: 'Kettle', amount: '1.00' };
  const path = `/orders/${randomUUID()}/cancellation`;
  const requests = [
    () => register(service),
    () => logIn(service, newEmail()),
    () => refresh(service, 'nonsense'),
    () => user.request('POST', '/orders', order),
    () => user.request('GET', '/orders'),
    () => user.request('PUT', path),
  ];

  for (const [index, expected] of [201, 401, 401, 201, 200, 404].entries()) {
    t.is((await requests[index]?.())?.status, expected);
    t.is((await requests[index]?.())?.status, 429);
  }
});

test('a user at the limit does not affect another user', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_LIST: '1' });
  const busy = await signUp(service);
  const other = await signUp(service);

  await busy.request('GET', '/orders');

  t.is((await busy.request('GET', '/orders')).status, 429);
  t.is((await other.request('GET', '/orders')).status, 200);
});

test('two API processes share one limit, and together allow exactly that many requests', async (t) => {
  const settings = { RATE_LIMIT_CREATE: '20', REDIS_PREFIX: randomUUID() };
  const [left, right] = [await withLimits(t, settings), await withLimits(t, settings)];
  const user = await signUp(left);
  const headers = { authorization: `Bearer ${user.token}` };
  const body = { product_name: 'Kettle', amount: '1.00' };

  const statuses: number[] = [];
  for (let wave = 0; wave < 5; wave += 1) {
    const origins = [left, right, left, right, left, right].map(({ origin }) => origin);
    const sent = origins.map((origin) => send(origin, 'POST', '/orders', { headers, body }));
    statuses.push(...(await Promise.all(sent)).map(({ status }) => status));
  }

  t.is(statuses.filter((status) => status === 201).length, 20);
  t.is(statuses.filter((status) => status === 429).length, 10);
});

test('a path and its alias share one limit', async (t) => {
  const service = await withLimits(t, {
    RATE_LIMIT_CREATE: '3',
    RATE_LIMIT_LIST: '2',
    RATE_LIMIT_CANCEL: '1',
  });
  const user = await signUp(service);
  const order = { product_name: 'Kettle', amount: '1.00' };
  const id = randomUUID();

  const statuses = [
    await user.request('POST', '/orders', order),
    await user.request('POST', '/orders/create', order),
    await user.request('POST', '/orders/', order),
    await user.request('POST', '/orders', order),
    await user.request('POST', '/orders/create', order),
    await user.request('GET', '/orders'),
    await user.request('GET', '/orders/my-orders'),
    await user.request('GET', '/orders'),
    await user.request('PUT', `/orders/${id}/cancellation`),
    await user.request('PATCH', `/orders/${id}/cancel`),
  ].map(({ status }) => status);

  t.deepEqual(statuses, [201, 201, 201, 429, 429, 200, 200, 429, 404, 429]);
});

test('without a trusted proxy, X-Forwarded-For does not evade the limit', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '5' });

  const statuses = [];
  for (let claim = 1; claim <= 30; claim += 1) {
    statuses.push(await readFrom(service, `203.0.113.${claim}`));
  }

  t.is(statuses.filter((status) => status === 200).length, 5);
  t.is(statuses.filter((status) => status === 429).length, 25);
});

test('behind a trusted proxy, each client has a limit of its own', async (t) => {
  const settings = { RATE_LIMIT_PUBLIC: '1', TRUSTED_PROXIES: '127.0.0.1, ::1' };
  const service = await withLimits(t, settings);

  const statuses = [
    await readFrom(service, '203.0.113.1'),
    await readFrom(service, '203.0.113.1'),
    await readFrom(service, '203.0.113.2'),
    await readFrom(service, '2001:db8::1'),
  ];

  t.deepEqual(statuses, [200, 429, 200, 200]);
});

test('behind a trusted proxy, only the last address that is not trusted counts', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '1', TRUSTED_PROXIES: '127.0.0.1/32' });

  const statuses = [
    await readFrom(service, '198.51.100.1, 203.0.113.1'),
    await readFrom(service, '198.51.100.2, 203.0.113.1'),
    await readFrom(service, '127.0.0.1, 198.51.100.3, 203.0.113.1'),
  ];

  t.deepEqual(statuses, [200, 429, 429]);
});

test('behind a trusted proxy, all spellings of a client and all of an IPv6 /64 share one limit', async (t) => {
  const settings = { RATE_LIMIT_PUBLIC: '1', TRUSTED_PROXIES: '127.0.0.1' };
  const networks = [
    ['203.0.113.7', '203.0.113.7:567', '::ffff:203.0.113.7', '::FFFF:cb00:7107', '203.000.113.7'],
    ['2001:db8::1', '2001:DB8:0:0::2', '[2001:db8::3]:443', '2001:db8:0:0:ffff::1'],
    ['not an address', '203.0.113.9, junk', '', '_x', '[', '127.0.0.1, 256.0.0.1'],
  ];
  const service = await withLimits(t, settings);

  for (const network of networks) {
    const statuses = [];
    for (const spelling of network) statuses.push(await readFrom(service, spelling));
    t.deepEqual(statuses, [200, ...network.slice(1).map(() => 429)], network[0]);
  }
});

test('a Forwarded header changes no count, even from a trusted proxy', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_PUBLIC: '1', TRUSTED_PROXIES: '127.0.0.1' });
  const statusOf = async (address: string) => {
    const headers = { forwarded: `for=${address}`, 'x-forwarded-for': '203.0.113.1' };
    return (await send(service.origin, 'GET', '/docs', { headers })).status;
  };

  t.deepEqual([await statusOf('198.51.100.1'), await statusOf('198.51.100.2')], [200, 429]);
});

test('a limit of 0 switches the limit off', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_LIST: '0' });
  const user = await signUp(service);

  const replies = await Promise.all(
    Array.from({ length: 60 }, () => user.request('GET', '/orders')),
  );

  t.true(replies.every(({ status }) => status === 200));
  t.is(replies[0]?.headers.get('ratelimit-policy'), null);
});

test('without Redis, a process still enforces its limits', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_CREATE: '2', REDIS_URL: '' });
  const user = await signUp(service);
  const order = { product_name: 'Kettle', amount: '1.00' };

  const replies = await Promise.all(
    Array.from({ length: 6 }, () => user.request('POST', '/orders', order)),
  );

  t.is(replies.filter(({ status }) => status === 201).length, 2);
  t.is(replies.filter(({ status }) => status === 429).length, 4);
});

test('when Redis becomes unavailable, the count of a user goes on', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_LIST: '3' });
  const user = await signUp(service);
  const before = [await user.request('GET', '/orders'), await user.request('GET', '/orders')];

  service.deps.redis?.disconnect();
  const after = [await user.request('GET', '/orders'), await user.request('GET', '/orders')];

  t.deepEqual(
    [...before, ...after].map(({ status }) => status),
    [200, 200, 200, 429],
  );
});

test('no order is stored for a request over the limit', async (t) => {
  const service = await withLimits(t, { RATE_LIMIT_CREATE: '1' });
  const user = await signUp(service);
  const order = { product_name: 'Kettle', amount: '1.00' };

  await user.request('POST', '/orders', order);
  const refused = await user.request('POST', '/orders', order);

  t.is(refused.status, 429);
  t.is((await user.request('GET', '/orders')).body.orders.length, 1);
});

/** All tests of this file have the same address, so each one counts under a prefix of its own. */
async function withLimits(t: ExecutionContext<Context>, settings: Record<string, string>) {
  const service = await withSettings(t, { REDIS_PREFIX: randomUUID(), ...settings });
  // On a busy machine, a reply of Redis can take longer than the usual limit of 400 ms.
  Object.assign(service.deps.redis?.options ?? {}, { commandTimeout: 9_000, socketTimeout: 9_000 });
  return service;
}

async function readFrom({ origin }: Pick<Context, 'origin'>, forwardedFor: string) {
  return (await send(origin, 'GET', '/docs', { headers: { 'x-forwarded-for': forwardedFor } }))
    .status;
}
