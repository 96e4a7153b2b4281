import test from 'ava';
import { parseOptions } from './options.ts';

const scenarios = ['create', 'drain'];

test('the smoke run goes with nothing else', (t) => {
  t.throws(() => parseOptions(['--smoke', '--quick'], []), { message: /--smoke/ });
});

test('without arguments everything is measured', (t) => {
  t.deepEqual(parseOptions([], scenarios), { quick: false, smoke: false });
});

test('all that is given is taken', (t) => {
  const args = '--quick --only drain --json run.json'.split(' ');

  t.deepEqual(parseOptions(args, scenarios), {
    quick: true,
    smoke: false,
    only: 'drain',
    json: 'run.json',
  });
});

for (const wrong of ['--quik', '--only walks', '--json', 'create']) {
  test(`refuses ${wrong} in one line that says how to call it`, (t) => {
    const { message } = t.throws(() => parseOptions(wrong.split(' '), scenarios));

    t.regex(message, /^[^\n]+Usage: npm run bench/);
  });
}
