import { randomUUID } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { logIn, refresh, refreshTokenOf, startedSession } from '../../test/support/accounts.ts';
import { send, signUp, test, withSettings } from '../../test/support/context.ts';
import { SessionList } from './schema.ts';
import { describeClient } from './client.ts';

test('a user sees each session: when it began, when and where it was last used', async (t) => {
  const service = await withSettings(t, { TRUSTED_PROXIES: '127.0.0.1' });
  const session = await startedSession(service);
  const body = { email: session.email, password: 'correct horse battery' };
  const headers = { 'x-forwarded-for': '203.0.113.77', 'user-agent': 'Phone\u00e9 1.0' };
  const phone = await send(service.origin, 'POST', '/auth/login', { body, headers });
  const moved = await send(service.origin, 'POST', '/auth/refresh', {
    headers: {
      cookie: `__Host-refresh_token=${refreshTokenOf(phone)}`,
      'x-forwarded-for': '2001:db8:1:2:3:4:5:6',
      'user-agent': 'x'.repeat(500),
    },
  });
  const access = { authorization: `Bearer ${moved.body.access_token}` };

  const reply = await send(service.origin, 'GET', '/auth/sessions', { headers: access });

  t.is(reply.status, 200);
  t.is(reply.headers.get('cache-control'), 'no-store');
  const { sessions } = SessionList.parse(reply.body);
  t.is(sessions.length, 2);
  t.like(sessions[0], { current: true, network: '2001:db8:1:2::/64', user_agent: 'x'.repeat(200) });
  t.true(sessions[0]!.last_used_at > sessions[0]!.created_at);
  t.like(sessions[1], { current: false, network: '127.0.0.0/24', user_agent: 'node' });
});

test('a user ends one session, and the others go on', async (t) => {
  const here = await startedSession(t.context);
  const there = await logIn(t.context, here.email);
  const { sessions } = (await list(t.context.origin, here.access)).body;
  const other = sessions.find(({ current }: { current: boolean }) => !current).id;

  const ended = await end(t.context.origin, other, here.access);
  const again = await end(t.context.origin, other, here.access);

  t.is(ended.status, 204);
  t.deepEqual([again.status, again.body.type], [404, '/problems/session-not-found']);
  t.is((await refresh(t.context, refreshTokenOf(there))).status, 401);
  t.is((await refresh(t.context, here.refreshToken)).status, 200);
  t.is((await list(t.context.origin, here.access)).body.sessions.length, 1);
});

test('a user neither sees nor ends sessions of others, nor ones that do not exist', async (t) => {
  const user = await signUp(t.context);
  const stranger = await signUp(t.context);

  for (const id of [stranger.session_id, randomUUID()]) {
    const reply = await user.request('DELETE', `/auth/sessions/${id}`);
    t.deepEqual([reply.status, reply.body.type], [404, '/problems/session-not-found']);
  }
  const malformed = await user.request('DELETE', '/auth/sessions/1');
  t.is(malformed.status, 422);
  const { body } = await user.request('GET', '/auth/sessions');
  t.deepEqual(
    body.sessions.map(({ id }: { id: string }) => id),
    [user.session_id],
  );
  t.is((await stranger.request('GET', '/auth/me')).status, 200);
});

test('expired and ended sessions are not listed, and a list has at most 100', async (t) => {
  const user = await signUp(t.context);
  await t.context.deps.pool.query(sql.unsafe`
    INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, created_at, expires_at, revoked_at)
    SELECT s.id, ${user.id}, s.id, sha256(uuid_send(s.id)), now() - n * interval '1 second',
      now() + CASE WHEN n % 3 = 1 THEN interval '-1 hour' ELSE interval '1 hour' END,
      CASE WHEN n % 3 = 2 THEN now() END
    FROM generate_series(1, 400) AS n, LATERAL (SELECT md5(n || ${user.id})::uuid AS id) AS s
  `);

  const { body } = await user.request('GET', '/auth/sessions');

  t.is(body.sessions.length, 100);
  t.is(body.sessions[0].id, user.session_id);
  const live = await t.context.deps.pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM refresh_tokens
    WHERE user_id = ${user.id} AND revoked_at IS NULL AND expires_at > now()
  `);
  t.is(live, 134);
});

test('an odd address or client does not prevent a login', (t) => {
  t.deepEqual(described('', ''), { address: null, user_agent: null });
  t.deepEqual(described('unknown', '  '), { address: null, user_agent: null });
  t.deepEqual(described('203.0.113.7:5000', '\u0007a'), { address: null, user_agent: '?a' });
  t.is(described('fe80::1%eth0', '').address, 'fe80::1');
});

function described(ip: string, agent: string) {
  return describeClient({ ip, get: () => agent });
}

function list(origin: string, headers: Record<string, string>) {
  return send(origin, 'GET', '/auth/sessions', { headers });
}

function end(origin: string, id: string, headers: Record<string, string>) {
  return send(origin, 'DELETE', `/auth/sessions/${id}`, { headers });
}
