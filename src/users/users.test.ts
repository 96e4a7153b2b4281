import { sql } from 'slonik';
import { z } from 'zod';
import { logIn, newEmail, PASSWORD, register } from '../../test/support/accounts.ts';
import { send, signUp, test, withDeps, withSettings } from '../../test/support/context.ts';
import { createHashing, createPasswordHasher } from './passwords.ts';

test('a registered user can log in and see the account', async (t) => {
  const email = newEmail();

  const registered = await register(t.context, { name: 'Grace Hopper', email });
  const { body } = await logIn(t.context, email);
  const headers = { authorization: `Bearer ${body.access_token}` };
  const me = await send(t.context.origin, 'GET', '/auth/me', { headers });

  t.is(registered.status, 201);
  t.deepEqual(registered.body, { id: registered.body.id, name: 'Grace Hopper', email });
  t.like(body, { token_type: 'bearer', expires_in: 900, refresh_token: undefined });
  t.deepEqual([me.status, me.body], [200, registered.body]);
});

test('upper and lower case in an email address make no difference', async (t) => {
  const email = newEmail();
  await register(t.context, { email: email.toUpperCase() });

  const again = await register(t.context, { email });
  const login = await logIn(t.context, email);

  t.is(again.status, 409);
  t.is(again.body.type, '/problems/email-taken');
  t.is(login.status, 200);
});

test('of simultaneous registrations of one address, exactly one succeeds', async (t) => {
  const email = newEmail();
  const spellings = [email, email.toUpperCase(), email, email.toUpperCase()];

  const replies = await Promise.all(spellings.map((one) => register(t.context, { email: one })));

  t.deepEqual(
    replies.map(({ status }) => status).sort((a, b) => a - b),
    [201, 409, 409, 409],
  );
});

test('an unknown address and a wrong password get the same reply', async (t) => {
  const { email } = (await register(t.context)).body;

  const wrong = await logIn(t.context, email, 'not the password');
  const unknown = await logIn(t.context, newEmail(), 'not the password');

  t.is(wrong.status, 401);
  t.is(wrong.body.type, '/problems/invalid-credentials');
  t.is(unknown.status, wrong.status);
  t.deepEqual({ ...unknown.body, request_id: '' }, { ...wrong.body, request_id: '' });
  t.deepEqual(headerNames(unknown.headers), headerNames(wrong.headers));
});

test('an unknown address costs one password hash, as a wrong password does', async (t) => {
  const { email } = (await register(t.context)).body;
  const hashing = createHashing();
  const asked: (string | null)[] = [];
  const service = await withDeps(t, {
    passwords: createPasswordHasher({
      ...hashing,
      salted(password, parameters) {
        asked.push(parameters);
        return hashing.salted(password, parameters);
      },
    }),
  });

  const wrong = await logIn(service, email, 'not the password');
  const unknown = await logIn(service, newEmail(), 'not the password');

  t.deepEqual([wrong.status, unknown.status], [401, 401]);
  t.is(asked.length, 2);
  t.regex(asked[0] ?? '', /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]+$/);
  t.is(asked[1], null);
});

test('a registration that is not valid is refused with a pointer to each mistake', async (t) => {
  const cases: [object, string[]][] = [
    [{ password: 'five5' }, ['#/password']],
    [{ password: 'x'.repeat(201) }, ['#/password']],
    [{ password: undefined }, ['#/password']],
    [{ password: 12_345_678 }, ['#/password']],
    [{ password: 'with\0nul and more' }, ['#/password']],
    [{ name: 'A\0da' }, ['#/name']],
    [{ name: '' }, ['#/name']],
    [{ name: '   ' }, ['#/name']],
    [{ name: 'x'.repeat(201) }, ['#/name']],
    [{ name: '\ud800' }, ['#/name']],
    [{ email: 'ada' }, ['#/email']],
    [{ email: 'ada\0@example.test' }, ['#/email']],
    [{ email: 'a\u200bda@example.test' }, ['#/email']],
    [{ password: 'password' }, ['#/password']],
    [{ password: 'ffffffff' }, ['#/password']],
    [{ email: `${'x'.repeat(250)}@example.test` }, ['#/email']],
    [{ role: 'admin', 'is/root~': true }, ['#/is~1root~0', '#/role']],
    [{ name: '', email: '', password: '' }, ['#/email', '#/name', '#/password']],
  ];

  for (const [account, pointers] of cases) {
    const { status, body } = await register(t.context, account);

    t.is(status, 422, JSON.stringify(account));
    t.is(body.type, '/problems/invalid-request');
    const found = body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
    t.deepEqual([...new Set(found)], pointers, JSON.stringify(account));
  }
});

test('malformed credentials are refused with 422', async (t) => {
  for (const body of [{}, [], 'text', null, { email: newEmail() }, { password: PASSWORD }]) {
    const json = JSON.stringify(body);
    const reply = await send(t.context.origin, 'POST', '/auth/login', { body: json });
    t.is(reply.status, 422, json);
  }
});

test('the minimum length of a password is a setting', async (t) => {
  const service = await withSettings(t, { PASSWORD_MIN_LENGTH: '10' });

  const accepted = await register(service, { password: 'ten chars!' });
  const refused = await register(service, { password: 'nine char' });
  const document = await send(service.origin, 'GET', '/openapi.json');

  t.is(accepted.status, 201);
  t.is(refused.status, 422);
  t.is(document.body.components.schemas.NewUser.properties.password.minLength, 10);
});

test('a user can log in eight times at once, and gets eight access tokens', async (t) => {
  const { email } = (await register(t.context)).body;

  const replies = await Promise.all(Array.from({ length: 8 }, () => logIn(t.context, email)));

  t.deepEqual(
    replies.map(({ status }) => status),
    replies.map(() => 200),
  );
  t.is(new Set(replies.map(({ body }) => body.access_token)).size, 8);
});

test('a password is stored as an argon2id hash with the parameters that OWASP recommends', async (t) => {
  const { id } = (await register(t.context, { password: 'a-most-remarkable-password' })).body;

  const Row = z.object({ password_hash: z.string(), everything: z.string() });
  const stored = await t.context.deps.pool.one(sql.type(Row)`
    SELECT password_hash, u::text AS everything FROM users AS u WHERE id = ${id}
  `);

  t.regex(stored.password_hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  t.false(stored.everything.includes('remarkable'));
});

test('the access token of a deleted account is refused', async (t) => {
  const user = await signUp(t.context);
  await t.context.deps.pool.query(sql.unsafe`DELETE FROM users WHERE id = ${user.id}`);

  const me = await user.request('GET', '/auth/me');
  const order = await user.request('POST', '/orders', { product_name: 'Kettle', amount: '1.00' });

  t.deepEqual([me.status, me.body.type], [401, '/problems/invalid-token']);
  t.deepEqual([order.status, order.body.type], [401, '/problems/invalid-token']);
});

function headerNames(headers: Headers): string[] {
  return [...headers.keys()].sort();
}
