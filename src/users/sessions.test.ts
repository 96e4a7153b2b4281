import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { logIn, refresh, refreshTokenOf, startedSession } from '../../test/support/accounts.ts';
import { drain, send, test, withSettings } from '../../test/support/context.ts';

test('the refresh token is a cookie that scripts cannot read and other sites cannot send', async (t) => {
  const session = await startedSession(t.context);

  const { headers } = await refresh(t.context, session.refreshToken);

  const [cookie = '', ...more] = headers.getSetCookie();
  const [value, ...attributes] = cookie.split('; ');
  t.is(more.length, 0);
  t.regex(value ?? '', /^__Host-refresh_token=[\w-]{43}$/);
  t.deepEqual(
    attributes
      .map((one) => one.toLowerCase())
      .filter((one) => !one.startsWith('expires='))
      .sort(),
    ['httponly', 'path=/', 'samesite=strict', 'secure'],
  );
  const expires = Date.parse(/expires=([^;]*)/i.exec(cookie)?.[1] ?? '');
  t.true(Math.abs(expires - Date.now() - 7 * 86_400_000) < 60_000);
  t.is(headers.get('cache-control'), 'no-store');
});

test('the cookie of the original system is still accepted, and exchanged for the new one', async (t) => {
  const { refreshToken } = await startedSession(t.context);
  const headers = { cookie: `refresh_token=${refreshToken}` };

  const reply = await send(t.context.origin, 'POST', '/auth/refresh', { headers });
  const both = await send(t.context.origin, 'POST', '/auth/refresh', {
    headers: { cookie: `refresh_token=old; __Host-refresh_token=${refreshTokenOf(reply)}` },
  });

  t.deepEqual([reply.status, both.status], [200, 200]);
});

test('a browser exchanges its cookie for a new cookie and a new access token', async (t) => {
  const session = await startedSession(t.context);

  const reply = await refresh(t.context, session.refreshToken);

  t.is(reply.status, 200);
  t.not(refreshTokenOf(reply), session.refreshToken);
  t.is(reply.body.refresh_token, undefined);
  const headers = { authorization: `Bearer ${reply.body.access_token}` };
  const me = await send(t.context.origin, 'GET', '/auth/me', { headers });
  t.is(me.body.id, session.id);
});

test('a client without cookies sends its refresh token in the body, and gets the new one there', async (t) => {
  const session = await startedSession(t.context);

  const reply = await refreshByBody(t.context.origin, session.refreshToken);
  const next = await refreshByBody(t.context.origin, reply.body.refresh_token);

  t.is(reply.status, 200);
  t.not(reply.body.refresh_token, session.refreshToken);
  t.is(next.status, 200);
});

test('a refresh without a refresh token, or with an unknown one, is refused', async (t) => {
  const replies = [
    await send(t.context.origin, 'POST', '/auth/refresh'),
    await refreshByBody(t.context.origin, 'x'.repeat(43)),
    await refresh(t.context, 'a\u00e4'),
  ];

  for (const reply of replies) {
    t.deepEqual([reply.status, reply.body.type], [401, '/problems/invalid-token']);
    t.is(reply.headers.getSetCookie().length, 0);
  }
});

test('a refresh whose reply was lost can be repeated for a few seconds', async (t) => {
  const session = await startedSession(t.context);

  const lost = await refresh(t.context, session.refreshToken);
  const again = await refresh(t.context, session.refreshToken);

  t.deepEqual([lost.status, again.status], [200, 200]);
  t.not(refreshTokenOf(again), session.refreshToken);
  t.is(refreshTokenOf(again), refreshTokenOf(lost)); // a session never has two branches
  t.is((await refresh(t.context, refreshTokenOf(again))).status, 200);
});

test('a refresh token that is used after its successor ends the session, also in the grace period', async (t) => {
  const session = await startedSession(t.context);
  const second = refreshTokenOf(await refresh(t.context, session.refreshToken));
  const third = refreshTokenOf(await refresh(t.context, second));

  const reused = await refresh(t.context, session.refreshToken);

  t.is(reused.status, 401);
  t.is((await refresh(t.context, third)).status, 401);
});

test('a refresh token that is used again after the grace period ends the session', async (t) => {
  const service = await withSettings(t, { REFRESH_GRACE_SECONDS: '0' });
  const stolen = await startedSession(service);
  const successor = refreshTokenOf(await refresh(service, stolen.refreshToken));
  t.not(successor, '');

  const reused = await refresh(service, stolen.refreshToken);
  const afterwards = await refresh(service, successor);

  t.is(reused.status, 401);
  t.is(afterwards.status, 401);
});

test('the end of a stolen session does not end other sessions of the user', async (t) => {
  const service = await withSettings(t, { REFRESH_GRACE_SECONDS: '0' });
  const stolen = await startedSession(service);
  const other = refreshTokenOf(await logIn(service, stolen.email));

  await refresh(service, stolen.refreshToken);
  await refresh(service, stolen.refreshToken);

  t.is((await refresh(service, other)).status, 200);
});

test('simultaneous uses of a refresh token all get the same valid successor', async (t) => {
  const session = await startedSession(t.context);
  const attempts = Array.from({ length: 6 }, () => refresh(t.context, session.refreshToken));

  const tokens = (await Promise.all(attempts)).map(refreshTokenOf);

  t.is(new Set(tokens).size, 1);
  t.is((await refresh(t.context, tokens[0] ?? '')).status, 200);
});

test('without a grace period, simultaneous uses of a refresh token end the session', async (t) => {
  const service = await withSettings(t, { REFRESH_GRACE_SECONDS: '0' });
  const session = await startedSession(service);
  const attempts = Array.from({ length: 6 }, () => refresh(service, session.refreshToken));

  const replies = await Promise.all(attempts);

  t.deepEqual(
    replies.map(({ status }) => status).sort((a, b) => a - b),
    [200, 401, 401, 401, 401, 401],
  );
  const winner = replies.find(({ status }) => status === 200);
  t.is((await refresh(service, refreshTokenOf(winner!))).status, 401);
});

test('a refresh token expires a fixed time after the login, whether or not it was exchanged', async (t) => {
  const session = await startedSession(t.context);
  const successor = refreshTokenOf(await refresh(t.context, session.refreshToken));
  const expiries = await t.context.deps.pool.anyFirst(sql.type(Expiry)`
    SELECT expires_at FROM refresh_tokens WHERE user_id = ${session.id}
  `);
  await expire(t.context.deps, session.id);

  const reply = await refresh(t.context, successor);

  t.is(expiries.length, 2);
  t.is(expiries[0], expiries[1]);
  t.deepEqual([reply.status, reply.body.type], [401, '/problems/invalid-token']);
});

test('the database contains no refresh token in plain text', async (t) => {
  const session = await startedSession(t.context);

  const rows = await t.context.deps.pool.anyFirst(sql.type(z.object({ row: z.string() }))`
    SELECT r::text AS row FROM refresh_tokens AS r WHERE user_id = ${session.id}
  `);

  t.is(rows.length, 1);
  t.false(rows[0]?.includes(session.refreshToken));
  const bytes = Buffer.from(session.refreshToken, 'base64url').toString('hex');
  t.false(rows[0]?.includes(bytes));
  t.false(rows[0]?.includes(Buffer.from(session.refreshToken).toString('hex')));
});

test('a refresh token is not accepted as access token', async (t) => {
  const { refreshToken } = await startedSession(t.context);
  const headers = { authorization: `Bearer ${refreshToken}` };

  const me = await send(t.context.origin, 'GET', '/auth/me', { headers });
  const orders = await send(t.context.origin, 'GET', '/orders', { headers });

  t.is(me.status, 401);
  t.is(orders.status, 401);
});

test('the nightly prune deletes expired refresh tokens and leaves the others', async (t) => {
  const expired = await startedSession(t.context);
  const live = await startedSession(t.context);
  await expire(t.context.deps, expired.id);
  await t.context.deps.boss.send('prune', {});

  const outcomes = await drain(t.context.deps, 'prune');

  t.deepEqual(outcomes, ['completed']);
  const count = await t.context.deps.pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM refresh_tokens WHERE user_id = ${expired.id}
  `);
  t.is(count, 0);
  t.is((await refresh(t.context, live.refreshToken)).status, 200);
});

const Expiry = z.object({ expires_at: z.iso.datetime() });

async function expire({ pool }: Pick<Deps, 'pool'>, userId: string): Promise<void> {
  await pool.query(sql.unsafe`
    UPDATE refresh_tokens SET expires_at = now() - interval '1 second' WHERE user_id = ${userId}
  `);
}

function refreshByBody(origin: string, refreshToken: string) {
  return send(origin, 'POST', '/auth/refresh', { body: { refresh_token: refreshToken } });
}
