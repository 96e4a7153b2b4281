import {
  logIn,
  refresh,
  refreshTokenOf,
  register,
  startedSession,
} from '../../test/support/accounts.ts';
import { send, test, withSettings } from '../../test/support/context.ts';

test('a wrong password opens no session', async (t) => {
  const { email } = (await register(t.context)).body;

  t.is((await logIn(t.context, email, 'not the password')).status, 401);
});

test('a refresh token that is used twice ends its session', async (t) => {
  const service = await withSettings(t, { REFRESH_GRACE_SECONDS: '0' });
  const { refreshToken } = await startedSession(service);

  const first = await refresh(service, refreshToken);
  const second = await refresh(service, refreshToken);
  const successor = await refresh(service, refreshTokenOf(first));

  t.deepEqual([first.status, second.status, successor.status], [200, 401, 401]);
});

test('a session that has ended cannot be refreshed', async (t) => {
  const { refreshToken } = await startedSession(t.context);
  const headers = { cookie: `__Host-refresh_token=${refreshToken}` };

  await send(t.context.origin, 'POST', '/auth/logout', { headers });

  t.is((await refresh(t.context, refreshToken)).status, 401);
});

test('an access token of a session that has ended is refused', async (t) => {
  const other = await withSettings(t, {}); // a process that has not seen the session yet
  const { access } = await startedSession(t.context);
  await send(t.context.origin, 'POST', '/auth/logout-everywhere', { headers: access });

  t.is((await send(other.origin, 'GET', '/auth/me', { headers: access })).status, 401);
});
