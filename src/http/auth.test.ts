import { createHash, createHmac, randomUUID } from 'node:crypto';
import jsonwebtoken from 'jsonwebtoken';
import { send, signUp, test } from '../../test/support/context.ts';
import { startedSession } from '../../test/support/accounts.ts';
import { until } from '../../test/support/until.ts';

const HOUR_SECONDS = 3600;
const REALM = 'Bearer realm="oms"';
const BAD =
  'error="invalid_token", error_description="The access token has expired, or is not valid"';
const INVALID = `${REALM}, ${BAD}`;

test('a request without a valid access token gets 401, and WWW-Authenticate says whether it had a token', async (t) => {
  const user = await signUp(t.context);
  const { refreshToken } = await startedSession(t.context);
  const strangers = { session_id: (await signUp(t.context)).session_id };
  const key = t.context.deps.config.JWT_SECRET;
  const [header, payload, signature = ''] = user.token.split('.');
  const headers: [string, string | undefined][] = [
    ['none', undefined],
    ['empty', ''],
    ['no token', 'Bearer'],
    ['no scheme', user.token],
    ['another scheme', `Basic ${user.token}`],
    ['garbage', 'Bearer garbage'],
    ['three garbage parts', 'Bearer a.b.c'],
    ['a refresh token', `Bearer ${refreshToken}`],
    ['no signature', `Bearer ${header}.${payload}.`],
    ['a changed signature', `Bearer ${header}.${payload}.${flipFirst(signature)}`],
    [
      'another payload',
      `Bearer ${header}.${encode(claims({ ...user, id: randomUUID() }))}.${signature}`,
    ],
    ['alg none', `Bearer ${encode({ alg: 'none', typ: 'at+jwt' })}.${encode(claims(user))}.`],
    ['another key', `Bearer ${sign(claims(user), `${key}x`)}`],
    ['HS512', `Bearer ${sign(claims(user), key, { alg: 'HS512' })}`],
    ['no key id', `Bearer ${sign(claims(user), key, { kid: undefined })}`],
    ['an unknown key id', `Bearer ${sign(claims(user), key, { kid: 'unknown' })}`],
    ['no typ', `Bearer ${signWithoutTyp(claims(user), key)}`],
    ['typ JWT', `Bearer ${sign(claims(user), key, { typ: 'JWT' })}`],
    ['typ refresh', `Bearer ${sign(claims(user), key, { typ: 'refresh' })}`],
    ['expired', `Bearer ${sign({ ...claims(user), exp: now() - 1 }, key)}`],
    ['no expiry', `Bearer ${sign({ ...claims(user), exp: undefined }, key)}`],
    ['not yet valid', `Bearer ${sign({ ...claims(user), nbf: now() + HOUR_SECONDS }, key)}`],
    ['another issuer', `Bearer ${sign({ ...claims(user), iss: 'elsewhere' }, key)}`],
    ['no issuer', `Bearer ${sign({ ...claims(user), iss: undefined }, key)}`],
    ['another audience', `Bearer ${sign({ ...claims(user), aud: 'elsewhere' }, key)}`],
    ['no audience', `Bearer ${sign({ ...claims(user), aud: undefined }, key)}`],
    ['no token id', `Bearer ${sign({ ...claims(user), jti: undefined }, key)}`],
    ['no subject', `Bearer ${sign({ ...claims(user), sub: undefined }, key)}`],
    ['no session', `Bearer ${sign({ ...claims(user), sid: undefined }, key)}`],
    ['an unknown session', `Bearer ${sign({ ...claims(user), sid: randomUUID() }, key)}`],
    ['a session of another user', `Bearer ${sign(claims({ ...user, ...strangers }), key)}`],
    ['a subject that is no uuid', `Bearer ${sign(claims({ ...user, id: "1' OR true --" }), key)}`],
  ];

  for (const [what, authorization] of headers) {
    const options = authorization === undefined ? {} : { headers: { authorization } };
    const reply = await send(t.context.origin, 'GET', '/auth/me', options);
    t.is(reply.status, 401, what);
    t.is(reply.type, 'application/problem+json', what);
    t.is(reply.body.type, '/problems/invalid-token', what);
    t.is(reply.headers.get('www-authenticate'), hasToken(authorization) ? INVALID : REALM, what);
    t.is(reply.body.detail, 'The token is missing, has expired, or is not valid', what);
  }
});

function hasToken(authorization = ''): boolean {
  return /^Bearer ./.test(authorization);
}

test('a token that is signed like the refused ones, but has no mistake, is accepted', async (t) => {
  const user = await signUp(t.context);
  const token = sign(claims(user), t.context.deps.config.JWT_SECRET);

  for (const scheme of ['Bearer ', 'bearer ', 'Bearer    ']) {
    const headers = { authorization: `${scheme}${token}` };
    const reply = await send(t.context.origin, 'GET', '/auth/me', { headers });
    t.deepEqual([reply.status, reply.body.id], [200, user.id], scheme);
  }
});

test('a token that was accepted before is refused once it has expired', async (t) => {
  const user = await signUp(t.context);
  const statusOfMe = async (headers: Record<string, string>) =>
    (await send(t.context.origin, 'GET', '/auth/me', { headers })).status;

  // A token is valid for 1 to 2 s. If a busy machine needs longer to use it, the test makes another one.
  const { exp, headers } = await until('a token to be accepted', async () => {
    const token = { ...claims(user), exp: now() + 2 };
    const authorization = `Bearer ${sign(token, t.context.deps.config.JWT_SECRET)}`;
    const isAccepted = (await statusOfMe({ authorization })) === 200;
    return isAccepted && { exp: token.exp, headers: { authorization } };
  });
  await until('its expiry', () => Date.now() >= exp * 1000);

  t.is(await statusOfMe(headers), 401);
});

test('every endpoint for orders and for the account requires an access token', async (t) => {
  const id = randomUUID();
  const endpoints = [
    'GET /auth/me',
    'POST /auth/logout-everywhere',
    'POST /auth/password',
    'GET /auth/sessions',
    `DELETE /auth/sessions/${id}`,
    'POST /orders',
    'POST /orders/create',
    'GET /orders',
    'GET /orders/my-orders',
    `GET /orders/${id}`,
    `GET /orders/${id}/events`,
    `PUT /orders/${id}/cancellation`,
    `PATCH /orders/${id}/cancel`,
  ];

  for (const endpoint of endpoints) {
    const [method = '', path = ''] = endpoint.split(' ');
    const reply = await send(t.context.origin, method, path);
    t.deepEqual([reply.status, reply.body.type], [401, '/problems/invalid-token'], endpoint);
  }
});

function now(): number {
  return Math.floor(Date.now() / 1000);
}

function claims({ id, session_id }: { id: string; session_id: string }): Record<string, unknown> {
  const exp = now() + HOUR_SECONDS;
  const times = { iat: now(), exp };
  return { iss: 'oms', aud: 'oms-api', sub: id, sid: session_id, ...times, jti: randomUUID() };
}

/** Names a secret as the service does. */
function kidOf(secret: string): string {
  return createHash('sha256').update(`kid ${secret}`).digest('hex').slice(0, 16);
}

function sign(
  payload: Record<string, unknown>,
  key: string,
  header: { alg?: 'HS256' | 'HS512'; typ?: string; kid?: string | undefined } = {},
): string {
  const given = Object.entries(payload).filter(([, value]) => value !== undefined);
  return jsonwebtoken.sign(Object.fromEntries(given), key, {
    header: { alg: 'HS256', typ: 'at+jwt', kid: kidOf(key), ...header },
    algorithm: header.alg ?? 'HS256',
  });
}

function signWithoutTyp(payload: object, key: string): string {
  const text = `${encode({ alg: 'HS256', kid: kidOf(key) })}.${encode(payload)}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function flipFirst(signature: string): string {
  return (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1);
}
