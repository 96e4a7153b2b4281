import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { logIn, newEmail, register, startedSession } from '../../test/support/accounts.ts';
import { send, test, withDeps } from '../../test/support/context.ts';

test('a failed login is logged by account, with a reason, and without address or password', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const service = await withDeps(t, { log });
  const { email } = (await register(t.context)).body;
  const unknown = newEmail();

  await logIn(service, email.toUpperCase(), 'not the password');
  await logIn(service, unknown, 'not the password');
  await logIn(service, email);

  const logged = lines
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => /logged in|login failed/.test(msg));
  t.like(logged[0], { msg: 'login failed', account: tag(email), reason: 'wrong-password' });
  t.like(logged[1], { msg: 'login failed', account: tag(unknown), reason: 'unknown-account' });
  t.like(logged[2], { msg: 'user logged in', account: tag(email) });
  for (const { request_id } of logged) t.is(typeof request_id, 'string');
  const text = lines.join('');
  for (const secret of [email, email.toUpperCase(), unknown, 'not the password'])
    t.false(text.includes(secret));
});

test('failed changes and resets of a password are logged with a reason', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const service = await withDeps(t, { log });
  const { id, access } = await startedSession(t.context);

  await send(service.origin, 'POST', '/auth/password', {
    headers: access,
    body: { current_password: 'not the password', new_password: 'a new one, good' },
  });
  await send(service.origin, 'POST', '/auth/password-reset', {
    body: { token: 'f'.repeat(64), new_password: 'a new one, good' },
  });

  const text = lines.join('');
  const logged = lines.map((line) => JSON.parse(line)).filter(({ msg }) => /failed/.test(msg));
  t.like(logged[0], { msg: 'password change failed', user_id: id, reason: 'wrong-password' });
  t.like(logged[1], { msg: 'password reset failed', reason: 'invalid-reset-token' });
  for (const secret of ['not the password', 'a new one, good', 'f'.repeat(64)])
    t.false(text.includes(secret));
});

function tag(email: string): string {
  return createHash('sha256').update(email).digest('hex').slice(0, 16);
}
