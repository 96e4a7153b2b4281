import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { ReadableError } from '../process.ts';
import { test, type Context } from '../../test/support/context.ts';
import { databaseUrl, onServer } from '../../test/support/template.ts';
import { scramVerifier } from './scram.ts';

test('the verifier accepts the exchange that RFC 7677 gives as an example', (t) => {
  const salt = 'W22ZaJ0SNY7soEsUEjb6gQ==';
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const exchange = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=${salt},i=4096,c=biws,r=${nonce}`;
  const clientProof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');

  const verifier = scramVerifier('pencil', Buffer.from(salt, 'base64'));

  const [mechanism, parameters, keys = ''] = verifier.split('$');
  const [storedKey, serverKey] = keys.split(':').map((key) => Buffer.from(key, 'base64'));
  const sign = (key = Buffer.alloc(0)) => createHmac('sha256', key).update(exchange).digest();
  const clientKey = sign(storedKey).map((byte, at) => byte ^ (clientProof[at] ?? 0));
  t.deepEqual([mechanism, parameters], ['SCRAM-SHA-256', `4096:${salt}`]);
  t.is(sign(serverKey).toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  t.deepEqual(createHash('sha256').update(clientKey).digest(), storedKey);
});

test('two verifiers of one password have different salts', (t) => {
  t.not(scramVerifier('pencil'), scramVerifier('pencil'));
});

for (const password of ['correct horse', `p'a\\$s:"%`, 'Ⅸ\u00AD pässwörd\u00A0ﬁ', '密码-пароль']) {
  test(`Postgres would store the same verifier, and accepts a login with the password: ${password}`, async (t) => {
    const role = `oms_test_${randomBytes(4).toString('hex')}`;
    const admin = await connect(t, databaseUrl(t.context.database));
    const literal = admin.escapeLiteral(password);
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${literal}`);
    t.teardown(() => onServer(`DROP ROLE ${role}`));
    const stored = await admin.query<{ verifier: string }>(
      `SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = '${role}'`,
    );
    const verifier = stored.rows[0]?.verifier ?? '';
    const salt = Buffer.from(/:(.*?)\$/.exec(verifier)?.[1] ?? '', 'base64');

    await admin.query(`ALTER ROLE ${role} PASSWORD '${scramVerifier(password)}'`);
    const url = new URL(databaseUrl(t.context.database));
    [url.username, url.password] = [role, encodeURIComponent(password)];
    const client = await connect(t, url.href);
    const { rows } = await client.query('SELECT session_user AS role');

    t.is(scramVerifier(password, salt), verifier);
    t.deepEqual(rows, [{ role }]);
  });
}

test('a password with a control character is refused', (t) => {
  for (const password of ['two\nlines', 'a\u0000b', 'a\u007Fb', 'a\u0085b']) {
    t.throws(() => scramVerifier(password), { instanceOf: ReadableError });
  }
});

async function connect(t: ExecutionContext<Context>, url: string): Promise<Client> {
  const client = new Client(url);
  await client.connect();
  t.teardown(() => client.end());
  return client;
}
