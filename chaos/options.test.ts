import test from 'ava';
import { parseOptions } from './options.ts';

test('without arguments, a run has a random seed and takes two minutes', (t) => {
  t.deepEqual(parseOptions([], 42), { seed: 42, seconds: 120, 'without-audit': false });
});

test('every option is used', (t) => {
  const args = '--seed 7 --seconds 30 --json out.json --logs logs --without-audit'.split(' ');

  t.deepEqual(parseOptions(args), {
    seed: 7,
    seconds: 30,
    json: 'out.json',
    logs: 'logs',
    'without-audit': true,
  });
});

for (const wrong of ['--seed x', '--seed -1', '--seconds 1', '--sedes 1', 'seed']) {
  test(`"${wrong}" is refused with one line that shows the usage`, (t) => {
    t.throws(() => parseOptions(wrong.split(' ')), { message: /^[^\n]+Usage: npm run chaos/ });
  });
}
