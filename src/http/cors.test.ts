import { startedSession } from '../../test/support/accounts.ts';
import { send, signUp, test, withSettings } from '../../test/support/context.ts';

const SHOP = 'https://shop.example';
const STAFF = 'http://localhost:5173';

const ORDER = { product_name: 'Kettle', amount: '34.90' };

test('without the setting, no page of another origin can read a reply', async (t) => {
  const user = await signUp(t.context);

  const replies = [
    await send(t.context.origin, 'OPTIONS', '/orders', { headers: preflight(SHOP) }),
    await user.request('POST', '/orders', ORDER, { origin: SHOP }),
    await user.request('GET', '/auth/me', undefined, { origin: t.context.origin }),
  ];

  for (const { headers } of replies)
    t.deepEqual(
      [...headers.keys()].filter((name) => /^access-control|^vary$/.test(name)),
      [],
    );
});

test('pages of the listed origins can make every request of the API, with its headers', async (t) => {
  const service = await withSettings(t, { CORS_ORIGINS: `${SHOP}, ${STAFF}` });
  const paths = ['/orders', '/orders/1', '/orders/1/cancellation', '/auth/login', '/nowhere'];

  for (const origin of [SHOP, STAFF]) {
    for (const path of paths) {
      const { status, headers } = await send(service.origin, 'OPTIONS', path, {
        headers: preflight(origin),
      });
      t.is(status, 204, path);
      t.is(headers.get('access-control-allow-origin'), origin);
      t.is(headers.get('access-control-allow-credentials'), 'true');
      t.is(headers.get('access-control-allow-methods'), 'GET, POST, PUT, PATCH, DELETE');
      t.regex(
        headers.get('access-control-allow-headers') ?? '',
        /^Authorization, Content-Type, Idempotency-Key, If-Match/,
      );
      t.is(headers.get('access-control-max-age'), '600');
      t.regex(headers.get('vary') ?? '', /Origin/);
    }
  }
});

test('pages of the listed origins can read replies and their headers, also those of errors', async (t) => {
  const service = await withSettings(t, { CORS_ORIGINS: SHOP, RATE_LIMIT_LIST: '1' });
  const user = await signUp(service);
  const headers = { origin: SHOP };

  const replies = [
    await user.request('POST', '/orders', ORDER, headers),
    await user.request('POST', '/orders', {}, headers),
    await user.request('GET', '/orders', undefined, headers),
    await user.request('GET', '/orders', undefined, headers),
    await send(service.origin, 'GET', '/auth/me', { headers }),
    await send(service.origin, 'GET', '/nowhere', { headers }),
  ];

  t.deepEqual(
    replies.map(({ status }) => status),
    [201, 422, 200, 429, 401, 404],
  );
  for (const reply of replies) {
    t.is(reply.headers.get('access-control-allow-origin'), SHOP);
    const exposed = reply.headers.get('access-control-expose-headers') ?? '';
    for (const name of ['RateLimit', 'Retry-After', 'Location', 'Idempotent-Replayed'])
      t.true(exposed.split(', ').includes(name), name);
  }
});

test('pages of other origins get no permission, even when their names are similar', async (t) => {
  const service = await withSettings(t, { CORS_ORIGINS: SHOP });
  const others = [
    'https://shop.example.evil.example',
    'http://shop.example',
    'null',
    `${SHOP}:444`,
  ];

  for (const origin of others) {
    const asked = await send(service.origin, 'OPTIONS', '/orders', { headers: preflight(origin) });
    const sent = await send(service.origin, 'GET', '/livez', { headers: { origin } });
    for (const { headers } of [asked, sent]) {
      t.is(headers.get('access-control-allow-origin'), null, origin);
      t.regex(headers.get('vary') ?? '', /Origin/);
    }
  }
});

const own = 'own'; // stands for the origin of the service

const cases: [string, Record<string, string>, boolean][] = [
  ['no browser', {}, true],
  ['a page of the service', { origin: own, 'sec-fetch-site': 'same-origin' }, true],
  [
    'a page of the service behind a proxy that changes Host',
    { 'sec-fetch-site': 'same-origin', origin: 'https://api.example' },
    true,
  ],
  ['a page of the service in an old browser', { origin: own }, true],
  ['a page of a listed origin', { origin: SHOP, 'sec-fetch-site': 'cross-site' }, true],
  ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, false],
  ['another site, without Origin', { 'sec-fetch-site': 'cross-site' }, false],
  ['another site, in an old browser', { origin: 'https://evil.example' }, false],
  [
    'another host of this site',
    { origin: 'https://blog.shop.example', 'sec-fetch-site': 'same-site' },
    false,
  ],
  ['a sandboxed frame', { origin: 'null', 'sec-fetch-site': 'cross-site' }, false],
  ['a sandboxed frame, in an old browser', { origin: 'null' }, false],
];

for (const [who, given, isAllowed] of cases) {
  test(`login, refresh and logout are ${isAllowed ? 'open to' : 'refused for'} ${who}`, async (t) => {
    const service = await withSettings(t, { CORS_ORIGINS: SHOP });
    const { email, refreshToken } = await startedSession(service);
    const headers = {
      ...given,
      ...(given.origin === own && { origin: service.origin }),
      cookie: `__Host-refresh_token=${refreshToken}`,
    };
    const body = { email, password: 'correct horse battery' };

    const login = await send(service.origin, 'POST', '/auth/login', { headers, body });
    const refreshed = await send(service.origin, 'POST', '/auth/refresh', { headers });
    const logout = await send(service.origin, 'POST', '/auth/logout', { headers });

    const expected = isAllowed ? [200, 200, 204] : [403, 403, 403];
    t.deepEqual([login.status, refreshed.status, logout.status], expected);
    if (isAllowed) return;
    for (const { body: problem, headers: sent } of [login, refreshed, logout]) {
      t.is(problem.type, '/problems/origin-not-allowed');
      t.deepEqual(sent.getSetCookie(), []);
    }
    const untouched = { cookie: headers.cookie };
    const later = await send(service.origin, 'POST', '/auth/refresh', { headers: untouched });
    t.is(later.status, 200);
  });
}

function preflight(origin: string): Record<string, string> {
  return {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,idempotency-key',
  };
}
