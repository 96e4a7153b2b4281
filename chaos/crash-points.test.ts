import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { armed, CRASHED } from './arm.ts';

const passThrice = `
  import { crashPoint } from ${JSON.stringify(new URL('../src/crash-point.ts', import.meta.url))};
  for (const pass of [1, 2, 3]) { console.log(pass); crashPoint('after-commit'); crashPoint('after-claim'); }
`;

function run(args: string[]) {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const all = [...args, '--input-type=module', '--eval', passThrice];
  return spawnSync(process.execPath, all, { cwd, encoding: 'utf8' });
}

test('an armed process kills itself when it passes its crash point for the given number of times', (t) => {
  const { signal, stdout, stderr } = run([
    '--import',
    armed({ point: 'after-commit', pass: 2, delayMs: 0 }),
  ]);

  t.is(signal, 'SIGKILL');
  t.deepEqual(stdout.split('\n'), ['1', '2', '']);
  t.is(stderr, `${CRASHED}: after-commit\n`);
});

test('an armed process can kill itself a given time after it passes its crash point', (t) => {
  const { signal, stdout, stderr } = run([
    '--import',
    armed({ point: 'after-commit', pass: 2, delayMs: 5 }),
  ]);

  t.is(signal, 'SIGKILL');
  t.deepEqual(stdout.split('\n'), ['1', '2', '3', ''], 'it continues until then');
  t.is(stderr, `${CRASHED}: after-commit\n`);
});

test('a process that is not armed passes every crash point without effect', (t) => {
  const { status, signal, stdout, stderr } = run([]);

  t.deepEqual([status, signal, stderr], [0, null, '']);
  t.deepEqual(stdout.split('\n'), ['1', '2', '3', '']);
});
