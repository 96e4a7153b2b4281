import { randomBytes } from 'node:crypto';
import { sql } from 'slonik';
import { pino } from 'pino';
import { logIn, newEmail, register } from '../../test/support/accounts.ts';
import { closeService, openService, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { onServer, testConfig } from '../../test/support/template.ts';
import { migrate } from '../migrate.ts';

test('a domain in Unicode and in Punycode is one account', async (t) => {
  const name = randomBytes(6).toString('hex');

  const registered = await register(t.context, { email: `${name}@bücher.example` });
  const again = await register(t.context, { email: `${name}@xn--bcher-kva.example` });
  const login = await logIn(t.context, `${name.toUpperCase()}@BU\u0308CHER.example`);

  t.deepEqual([registered.status, again.status, login.status], [201, 409, 200]);
  t.is(registered.body.email, `${name}@xn--bcher-kva.example`);
});

test('a local part of other letters is one account in every spelling', async (t) => {
  const name = randomBytes(6).toString('hex');

  const registered = await register(t.context, { email: `Zoe\u0308-${name}@example.test` });
  const again = await register(t.context, { email: `ZOË-${name}@example.test` });

  t.deepEqual([registered.status, again.status], [201, 409]);
  t.is(registered.body.email, `zoë-${name}@example.test`);
});

test('the database stores an address only in its canonical form', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_api');
  const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  const others = [
    ['Ada@example.test', 'ada@Example.test', 'ada@bücher.example', 'ada@example'],
    ['rene\u0301@example.test', 'a da@example.test', '@example.test', 'a@b@example.test'],
    [`${'a'.repeat(250)}@example.test`, 'ada@example.test\n'],
  ].flat();

  for (const email of others) {
    const call = `SELECT register_user(gen_random_uuid(), 'Ada', $1, $2)`;
    const { code, message } = await refusal(call, [email, hash]);
    t.is(code, '23514', email);
    t.regex(message, /email_address/);
    t.false(message.includes('argon2'));
  }
});

test('a database in Turkish makes one account of INFO and info', async (t) => {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await onServer(`
    CREATE DATABASE ${name} TEMPLATE template0 ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'
      LOCALE 'C.UTF-8'
  `);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  await migrate(testConfig(name), pino({ level: 'silent' }));
  const service = await openService(testConfig(name));
  t.teardown(() => closeService(service));
  const email = `info-${newEmail()}`;

  const registered = await register(service, { email: email.toUpperCase() });
  const again = await register(service, { email });
  const login = await logIn(service, email.toUpperCase());

  t.deepEqual([registered.status, again.status, login.status], [201, 409, 200]);
  t.is(
    await service.deps.pool.oneFirst(sql.unsafe`SELECT lower('INFO') = 'info'`),
    false,
    'the database folds as Turkish does',
  );
});
