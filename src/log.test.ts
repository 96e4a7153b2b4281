import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test from 'ava';

test('a process ends even if its log has no reader any more', async (t) => {
  const script = `
    import { createLog } from './src/log.ts';
    const { log } = createLog({ LOG_LEVEL: 'info' }, 'test');
    process.stdin.resume().once('end', () => {
      for (let line = 1; line <= 5; line += 1) log.info({ line }, 'without a reader');
      process.exit(7);
    });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));

  child.stdout.destroy();
  await once(child.stdout, 'close');
  child.stdin.end();

  t.deepEqual(await once(child, 'exit'), [7, null]);
});

test('the log has only those members of an error that loggedError keeps', async (t) => {
  const script = `
    import { createLog } from './src/log.ts';
    const err = Object.assign(new Error('refused'), { command: { args: ['geheim'] } });
    createLog({ LOG_LEVEL: 'info' }, 'test').log.child({ queue: 'a' }).error({ err }, 'failed');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));

  const line = await text(child.stdout);

  t.regex(line, /"message":"refused"/);
  t.notRegex(line, /geheim/);
});
