import { randomUUID } from 'node:crypto';
import { sql, type DatabasePool } from 'slonik';
import { logIn, refresh, refreshTokenOf, startedSession } from '../../test/support/accounts.ts';
import { send, signUp, test, withDeps, withSettings } from '../../test/support/context.ts';
import { until } from '../../test/support/until.ts';
import { createLiveSessions } from './live-sessions.ts';

type Ended = Awaited<ReturnType<typeof startedSession>>;

const endings: [string, (origin: string, session: Ended) => Promise<unknown>][] = [
  [
    'logging out everywhere',
    (origin, { access }) => post(origin, '/auth/logout-everywhere', access),
  ],
  ['logging out', (origin, { refreshToken }) => logOut(origin, refreshToken)],
  [
    'ending one session',
    async (origin, { access }) => {
      const { body } = await send(origin, 'GET', '/auth/sessions', { headers: access });
      await send(origin, 'DELETE', `/auth/sessions/${body.sessions[0].id}`, { headers: access });
    },
  ],
  [
    'the second use of a refresh token',
    async (origin, { refreshToken }) => {
      const second = await refresh({ origin }, refreshToken);
      await refresh({ origin }, refreshTokenOf(second));
      await refresh({ origin }, refreshToken);
    },
  ],
];

for (const [title, end] of endings) {
  test(`${title} ends access tokens within seconds, in other processes too`, async (t) => {
    const other = await withSettings(t, {});
    const session = await startedSession(t.context);
    const stranger = await startedSession(t.context);
    t.is(await statusOfMe(other.origin, session), 200);

    await end(t.context.origin, session);

    for (const { origin } of [t.context, other]) {
      await until('the access token to end', async () => {
        return (await statusOfMe(origin, session)) === 401;
      });
      t.is(await statusOfMe(origin, stranger), 200);
    }
    t.is((await logIn(t.context, session.email)).status, 200);
  });
}

test('a process that ends all sessions of a user refuses their access tokens at once', async (t) => {
  const here = await startedSession(t.context);
  const there = await logIn(t.context, here.email);
  const access = { authorization: `Bearer ${there.body.access_token}` };
  t.is(await statusOfMe(t.context.origin, { access }), 200);

  await post(t.context.origin, '/auth/logout-everywhere', here.access);

  t.is(await statusOfMe(t.context.origin, { access }), 401);
});

test('an access token does not outlive its session', async (t) => {
  const service = await withSettings(t, { REFRESH_TOKEN_TTL_SECONDS: '60' });
  const { email } = await startedSession(service);

  const { body } = await logIn(service, email);

  const { exp, iat } = JSON.parse(
    Buffer.from(body.access_token.split('.')[1], 'base64url').toString(),
  );
  t.true(body.expires_in <= 60 && body.expires_in > 0);
  t.is(exp - iat, body.expires_in);
});

test('an access token is refused when the database cannot say whether its session lives', async (t) => {
  const user = await signUp(t.context);
  const pool = t.context.deps.pool;
  const away = { ...pool, anyFirst: () => Promise.reject(connectionRefused()) } as DatabasePool;
  const service = await withDeps(t, { liveSessions: createLiveSessions({ pool: away }) });
  const headers = { authorization: `Bearer ${user.token}` };
  const order = { product_name: 'Kettle', amount: '1.00' };

  for (const [method, path, body] of [
    ['GET', '/auth/me', undefined],
    ['GET', '/orders', undefined],
    ['POST', '/orders', order],
    ['POST', '/orders', order],
  ] as const) {
    const reply = await send(service.origin, method, path, { headers, body });
    t.deepEqual([reply.status, reply.body.type], [503, '/problems/unavailable'], path);
  }
});

test('requests that arrive together share one question, and later ones need none', async (t) => {
  const users = await Promise.all(Array.from({ length: 20 }, () => signUp(t.context)));
  const { pool } = t.context.deps;
  let questions = 0;
  const counting = {
    ...pool,
    anyFirst(query: Parameters<DatabasePool['anyFirst']>[0]) {
      questions += 1;
      return pool.anyFirst(query);
    },
  } as DatabasePool;
  const liveSessions = createLiveSessions({ pool: counting });
  const ask = () =>
    users.map(({ id, session_id }) => liveSessions.isLive({ user_id: id, session_id }));

  const first = await Promise.all([...ask(), ...ask()]);
  const again = ask();

  t.deepEqual(new Set(first), new Set([true]));
  t.is(questions, 1);
  t.deepEqual(new Set(again), new Set([true])); // not promises
  t.is(await liveSessions.isLive({ user_id: users[0]!.id, session_id: randomUUID() }), false);
  t.is(
    await liveSessions.isLive({ user_id: randomUUID(), session_id: users[1]!.session_id }),
    true,
  );
});

test('a session that has expired does not live', async (t) => {
  const user = await signUp(t.context);
  await t.context.deps.pool.query(sql.unsafe`
    UPDATE refresh_tokens SET expires_at = now() - interval '1 second' WHERE user_id = ${user.id}
  `);

  t.is((await user.request('GET', '/auth/me')).status, 401);
});

function connectionRefused(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

async function statusOfMe(origin: string, { access }: Pick<Ended, 'access'>): Promise<number> {
  return (await send(origin, 'GET', '/auth/me', { headers: access })).status;
}

function post(origin: string, path: string, headers: Record<string, string>) {
  return send(origin, 'POST', path, { headers });
}

function logOut(origin: string, refreshToken: string) {
  return send(origin, 'POST', '/auth/logout', { body: { refresh_token: refreshToken } });
}
