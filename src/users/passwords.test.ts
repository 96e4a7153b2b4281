import test from 'ava';
import { createHashing } from './passwords.ts';

const COSTS = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/;

test('with the salt of a stored hash, the same password gives that hash, and another one does not', async (t) => {
  const passwords = createHashing();
  const stored = await passwords.hash('correct horse');
  const parameters = stored.slice(0, stored.lastIndexOf('$'));

  t.is(await passwords.salted('correct horse', parameters), stored);
  t.not(await passwords.salted('correct horsf', parameters), stored);
});

test('the hash for an unknown account costs the same, and each process has another salt for it', async (t) => {
  const [one, another] = [createHashing(), createHashing()];

  const decoy = await one.salted('correct horse', null);

  t.regex(decoy, COSTS);
  t.not(await another.salted('correct horse', null), decoy);
});

test('parameters that cost too much or are not valid are replaced by the usual ones', async (t) => {
  const passwords = createHashing();
  const salt = 'c29tZXNhbHRzb21lc2FsdA';

  for (const parameters of [
    '',
    'none',
    `$argon2id$v=19$m=4194304,t=2,p=1$${salt}`,
    `$argon2id$v=19$m=19456,t=200,p=1$${salt}`,
    `$argon2i$v=19$m=19456,t=2,p=1$${salt}`,
  ]) {
    const computed = await passwords.salted('correct horse', parameters);
    t.regex(computed, COSTS, parameters);
    t.false(computed.includes(salt));
  }
});
