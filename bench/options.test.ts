import test from 'ava';
import { parseOptions } from './options.ts';

const scenarios = ['create', 'drain'];

test('--smoke cannot be combined with other options', (t) => {
  t.throws(() => parseOptions(['--smoke', '--quick'], []), { message: /--smoke/ });
});

test('without arguments the bench measures everything', (t) => {
  t.deepEqual(parseOptions([], scenarios), { quick: false, smoke: false });
});

test('every option is used', (t) => {
  const args = '--quick --only drain --json run.json'.split(' ');

  t.deepEqual(parseOptions(args, scenarios), {
    quick: true,
    smoke: false,
    only: 'drain',
    json: 'run.json',
  });
});

for (const wrong of ['--quik', '--only walks', '--json', 'create']) {
  test(`"${wrong}" is refused with one line that shows the usage`, (t) => {
    const { message } = t.throws(() => parseOptions(wrong.split(' '), scenarios));

    t.regex(message, /^[^\n]+Usage: npm run bench/);
  });
}
