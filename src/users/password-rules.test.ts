import test from 'ava';
import { logIn, newEmail, PASSWORD, register } from '../../test/support/accounts.ts';
import { test as serviceTest } from '../../test/support/context.ts';
import { guessable, opaqueString } from './password-rules.ts';

test('common passwords, sequences and what strangers know are refused', (t) => {
  for (const common of ['123456', 'password', 'PassWord1', 'secret1', 'p@ssw0rd', '1234567890'])
    t.is(guessable(common), 'is one of the most common passwords', common);
  for (const sequence of ['ääääää', 'ZZZZZZZZZZ', 'defghijk', '87654321098'.slice(0, 8)])
    t.truthy(guessable(sequence), sequence);
  for (const known of ['Ada.Lovelace', 'ADA.LOVELACE', 'ada.lovelace@example.test'])
    t.truthy(guessable(known, ['ada.lovelace@example.test', 'ada.lovelace']), known);
});

test('other passwords pass, also the short one of the original collection', (t) => {
  for (const password of ['alen21', PASSWORD, 'correct horse', 'a-most-remarkable-password'])
    t.is(guessable(password, ['alen', 'alen@example.test']), null, password);
});

test('the encodings of one password become one', (t) => {
  t.is(opaqueString('re\u0301sume\u0301 42'), 'résumé 42');
  t.is(opaqueString('a\u00a0b\u3000c'), 'a b c');
  t.is(opaqueString('ﬁne'), 'ﬁne'); // other characters that look alike stay different
});

serviceTest('a password can be typed in either encoding, at registration and login', async (t) => {
  const composed = 'mögliches Passwört';
  const decomposed = composed.normalize('NFD');

  for (const [registered, typed] of [
    [composed, decomposed],
    [decomposed, composed],
    [decomposed, decomposed],
    ['two\u00a0words here', 'two words here'],
  ] as const) {
    const { email } = (await register(t.context, { password: registered })).body;
    t.is((await logIn(t.context, email, typed)).status, 200);
    t.is((await logIn(t.context, email, `${typed}x`)).status, 401);
  }
});

serviceTest(
  'the length of a password is counted after its encodings have become one',
  async (t) => {
    const five = await register(t.context, { password: 'äöüéß'.normalize('NFD') });
    const six = await register(t.context, { password: 'äöüéßå'.normalize('NFD') });

    t.deepEqual([five.status, six.status], [422, 201]);
  },
);

serviceTest('a guessable password is refused with the reason', async (t) => {
  const email = newEmail();
  const cases: [string, string][] = [
    ['secret1', 'is one of the most common passwords'],
    ['ｆｆｆｆｆｆｆ', 'must not be one character repeated, or characters in a row'],
    [email, 'must not be your name or your email address'],
    ['Ada Lovelace', 'must not be your name or your email address'],
  ];

  for (const [password, message] of cases) {
    const { status, body } = await register(t.context, { name: 'ada lovelace', email, password });
    t.is(status, 422);
    t.like(body.errors[0], { pointer: '#/password' });
    t.true(JSON.stringify(body.errors).includes(message), password);
  }
  t.is((await logIn(t.context, email, 'secret1')).status, 401); // a login does not say more
});
