import type { ExecutionContext } from 'ava';
import {
  logIn,
  newEmail,
  PASSWORD,
  refresh,
  refreshTokenOf,
  register,
  startedSession,
} from '../../test/support/accounts.ts';
import { send, test, withSettings, type Context } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { until } from '../../test/support/until.ts';

const NEW = 'staple of horses';

type Access = { authorization: string };

test('a user changes the password: this session goes on, all others end', async (t) => {
  const here = await startedSession(t.context);
  const there = await logIn(t.context, here.email);
  const theirs = { authorization: `Bearer ${there.body.access_token}` };
  t.is((await me(t.context.origin, theirs)).status, 200);

  const reply = await change(t.context.origin, here.access, PASSWORD, NEW);

  t.is(reply.status, 204);
  t.is((await logIn(t.context, here.email, PASSWORD)).status, 401);
  t.is((await logIn(t.context, here.email, NEW.normalize('NFD'))).status, 200);
  t.is((await me(t.context.origin, theirs)).status, 401);
  t.is((await refresh(t.context, refreshTokenOf(there))).status, 401);
  t.is((await me(t.context.origin, here.access)).status, 200);
  t.is((await refresh(t.context, here.refreshToken)).status, 200);
});

test('a wrong current password, or a new one that is guessable or too short, changes nothing', async (t) => {
  const { email, access } = await startedSession(t.context);
  const { origin } = t.context;

  const wrong = await change(origin, access, 'not the password', NEW);
  t.deepEqual([wrong.status, wrong.body.type], [403, '/problems/wrong-password']);
  t.is(wrong.headers.get('www-authenticate'), null);
  for (const password of ['short', 'secret1', 'abcdefgh', email, 'ada'.repeat(80)]) {
    const { status, body } = await change(origin, access, PASSWORD, password);
    t.deepEqual([status, body.errors[0].pointer], [422, '#/new_password'], password);
  }
  t.is((await change(origin, {} as Access, PASSWORD, NEW)).status, 401);

  t.is((await logIn(t.context, email)).status, 200);
});

test('changes of a password are limited like logins', async (t) => {
  const service = await withSettings(t, { RATE_LIMIT_LOGIN: '2' });
  const { access } = await startedSession(service);

  const replies = [];
  for (let i = 0; i < 3; i += 1) replies.push(await change(service.origin, access, 'wrong', NEW));

  t.deepEqual(
    replies.map(({ status }) => status),
    [403, 403, 429],
  );
});

test('while logins to an account are refused, so is a change of its password', async (t) => {
  const service = await withSettings(t, { RATE_LIMIT_LOGIN: '2' });
  const { access, email } = await startedSession(service);
  await until('a refused login', async () => (await logIn(service, email, 'wrong')).status === 429);

  const reply = await change(service.origin, access, PASSWORD, NEW);

  t.deepEqual([reply.status, reply.body['violated-policies']], [429, ['login']]);
  t.regex(reply.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  t.regex(reply.headers.get('ratelimit') ?? '', /"login";r=0/);
});

test('a login with the old password waits for a change in progress, and is then refused', async (t) => {
  const { id, email } = (await register(t.context)).body;
  const admin = await connectDba(t, t.context, 'postgres');
  await admin.rows('BEGIN');
  await admin.rows(`UPDATE users SET password_hash = 'changed' WHERE id = $1`, [id]);

  const login = logIn(t.context, email);
  await until('the login to wait', async () => isWaitedFor(t, await pidOf(admin)));
  await admin.rows('COMMIT');

  t.is((await login).status, 401);
});

test('a token of staff sets a new password once, and ends every session', async (t) => {
  const session = await startedSession(t.context);
  const token = await resetToken(t, session.email);

  const replies = await Promise.all(
    Array.from({ length: 4 }, () => reset(t.context.origin, token, NEW)),
  );

  const statuses = replies.map(({ status }) => status).sort((a, b) => a - b);
  t.deepEqual(statuses, [204, 422, 422, 422]);
  const refused = replies.find(({ status }) => status === 422);
  t.is(refused?.body.type, '/problems/invalid-reset-token');
  t.is((await me(t.context.origin, session.access)).status, 401);
  t.is((await refresh(t.context, session.refreshToken)).status, 401);
  t.is((await logIn(t.context, session.email, PASSWORD)).status, 401);
  t.is((await logIn(t.context, session.email, NEW)).status, 200);
});

test('a token is refused when it has expired, was replaced, or its password has changed since', async (t) => {
  const { id, email, access } = await startedSession(t.context);
  const admin = await connectDba(t, t.context, 'postgres');

  const replaced = await resetToken(t, email);
  const expired = await resetToken(t, email.toUpperCase());
  await admin.rows(`UPDATE users SET reset_until = now() - interval '1 s' WHERE id = $1`, [id]);
  const afterExpiry = await reset(t.context.origin, expired, NEW);
  const outdated = await resetToken(t, email);
  t.is((await change(t.context.origin, access, PASSWORD, 'another good one')).status, 204);

  t.is(afterExpiry.status, 422);
  for (const token of [replaced, outdated, 'x', 'f'.repeat(64)])
    t.is((await reset(t.context.origin, token, NEW)).status, 422);
  t.is((await logIn(t.context, email, NEW)).status, 401);
});

test('a guessable new password does not use a token up', async (t) => {
  const { email } = (await register(t.context)).body;
  const token = await resetToken(t, email);

  const refused = await reset(t.context.origin, token, 'password');
  const accepted = await reset(t.context.origin, token, NEW);

  t.deepEqual([refused.body.errors[0].pointer, accepted.status], ['#/new_password', 204]);
});

test('ops.reset_password is on record with its reason and without the token, and stores only a hash', async (t) => {
  const { id, email } = (await register(t.context)).body;
  const dba = await connectDba(t);

  const token = await dba.value('SELECT ops.reset_password($1, $2)', [email, 'ticket 4715']);
  const [action] = await dba.rows('SELECT * FROM ops.actions WHERE user_id = $1', [id]);
  const admin = await connectDba(t, t.context, 'postgres');
  const [stored] = await admin.rows('SELECT u::text AS row FROM users AS u WHERE id = $1', [id]);

  t.regex(token, /^[0-9a-f]{64}$/);
  t.like(action, { who: 'oms_dba', action: 'reset_password', reason: 'ticket 4715' });
  t.false(JSON.stringify(action).includes(token));
  t.false(stored?.row.includes(token));
});

test('ops.reset_password refuses an unknown address and a missing reason', async (t) => {
  const dba = await connectDba(t);
  const call = 'SELECT ops.reset_password($1, $2)';

  t.is((await dba.refusal(call, [newEmail(), 'why'])).code, 'OM005');
  t.is((await dba.refusal(call, [newEmail(), ' '])).code, 'OM008');
  t.is((await dba.refusal(call, [null, 'why'])).code, 'OM005');
});

function resetToken(t: ExecutionContext<Context>, email: string): Promise<string> {
  return connectDba(t).then(({ value }) =>
    value('SELECT ops.reset_password($1, $2)', [email, 'asked by phone']),
  );
}

function reset(origin: string, token: string, new_password: string) {
  return send(origin, 'POST', '/auth/password-reset', { body: { token, new_password } });
}

function change(origin: string, headers: Access, current_password: string, new_password: string) {
  return send(origin, 'POST', '/auth/password', {
    headers,
    body: { current_password, new_password },
  });
}

function me(origin: string, headers: Access) {
  return send(origin, 'GET', '/auth/me', { headers });
}

function pidOf({ value }: Awaited<ReturnType<typeof connectDba>>): Promise<number> {
  return value('SELECT pg_backend_pid()');
}

async function isWaitedFor(t: ExecutionContext<Context>, pid: number): Promise<boolean> {
  const { value } = await connectDba(t, t.context, 'postgres');
  return value(
    'SELECT count(*) > 0 FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))',
    [pid],
  );
}
