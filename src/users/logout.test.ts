import { logIn, refresh, refreshTokenOf, startedSession } from '../../test/support/accounts.ts';
import { send, test } from '../../test/support/context.ts';

test('logging out ends the session and removes the cookie, and can be repeated', async (t) => {
  const session = await startedSession(t.context);
  const successor = refreshTokenOf(await refresh(t.context, session.refreshToken));
  const headers = { cookie: `__Host-refresh_token=${successor}` };

  const first = await send(t.context.origin, 'POST', '/auth/logout', { headers });
  const second = await send(t.context.origin, 'POST', '/auth/logout', { headers });
  const without = await send(t.context.origin, 'POST', '/auth/logout');

  t.deepEqual([first.status, second.status, without.status], [204, 204, 204]);
  t.regex(
    first.headers.getSetCookie()[0] ?? '',
    /^__Host-refresh_token=;.*expires=Thu, 01 Jan 1970/i,
  );
  t.is((await refresh(t.context, successor)).status, 401);
  t.is((await refresh(t.context, session.refreshToken)).status, 401);
});

test('a client without cookies logs out with its refresh token in the body', async (t) => {
  const { refreshToken } = await startedSession(t.context);
  const body = { refresh_token: refreshToken };

  const reply = await send(t.context.origin, 'POST', '/auth/logout', { body });

  t.is(reply.status, 204);
  t.is((await refresh(t.context, refreshToken)).status, 401);
});

test('logging out everywhere ends every session of the user, and of no other user', async (t) => {
  const here = await startedSession(t.context);
  const stranger = await startedSession(t.context);
  const there = refreshTokenOf(await logIn(t.context, here.email));

  const reply = await logOutEverywhere(t.context.origin, here.access);
  const anonymous = await logOutEverywhere(t.context.origin, {});

  t.is(reply.status, 204);
  t.is(anonymous.status, 401);
  t.is((await refresh(t.context, here.refreshToken)).status, 401);
  t.is((await refresh(t.context, there)).status, 401);
  t.is((await refresh(t.context, stranger.refreshToken)).status, 200);
});

test('logging out everywhere also ends sessions that are being refreshed', async (t) => {
  const sessions = await Promise.all(Array.from({ length: 12 }, () => startedSession(t.context)));

  const successors = await Promise.all(
    sessions.map(async ({ access, refreshToken }) => {
      const refreshing = refresh(t.context, refreshToken);
      await logOutEverywhere(t.context.origin, access);
      return refreshTokenOf(await refreshing);
    }),
  );

  for (const token of successors.filter((successor) => successor !== ''))
    t.is((await refresh(t.context, token)).status, 401);
  t.is(successors.length, 12);
});

function logOutEverywhere(origin: string, headers: Record<string, string>) {
  return send(origin, 'POST', '/auth/logout-everywhere', { headers });
}
