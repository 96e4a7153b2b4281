import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { sandbox } from './sandbox.ts';

const REPORT =
  'console.log(JSON.stringify([process.pid, process.execArgv, process.argv.slice(2)]));\n';

test('a script becomes its command, with the same process, arguments and exit code', async (t) => {
  const { start, write, install } = sandbox(t);
  install('service');
  write('program.mjs', `${REPORT}process.exitCode = 7;\n`);

  const child = start(`exec scripts/run service program.mjs 'a b' c`);
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);

  t.is(code, 7);
  t.deepEqual(JSON.parse(output), [child.pid, ['--max-old-space-size=99'], ['a b', 'c']]);
});

test('only commands of the service get the memory limits', async (t) => {
  const { start, write, install } = sandbox(t);
  install('tests');
  write('program.mjs', REPORT);

  const child = start('exec scripts/run tests --no-warnings program.mjs');

  t.deepEqual(JSON.parse(await text(child.stdout)), [child.pid, ['--no-warnings'], []]);
});

test('the command receives a signal, and ends with its own exit code', async (t) => {
  const { start, write, install } = sandbox(t);
  install('service');
  write(
    'program.mjs',
    "process.once('SIGTERM', () => process.exit(3));\nconsole.log('ready');\nsetInterval(() => {}, 1000);\n",
  );
  const child = start('exec scripts/run service program.mjs');
  await once(child.stdout, 'data');

  child.kill('SIGTERM');

  t.deepEqual(await once(child, 'exit'), [3, null]);
});

test('the command does not run when the installation fails', async (t) => {
  const { start, write } = sandbox(t);
  write('program.mjs', REPORT);

  const child = start('export NPM_FAILS=yes; exec scripts/run service program.mjs');
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);

  t.is(code, 1);
  t.is(output, '');
});
