import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { describeEnd, endChild, isRunning, keepRunning, whenReady } from './child-process.ts';

test('a process that ends is restarted, and the wait before a restart doubles up to its maximum', async (t) => {
  const waits: number[] = [];
  const ends: string[] = [];
  const restarted = Promise.withResolvers<void>();

  const kept = keepRunning(launchFalse(), launchFalse, {
    delayMs: { min: 1, max: 4 },
    onEnd(ended, restartInMs) {
      ends.push(describeEnd(ended));
      waits.push(restartInMs);
      if (waits.length === 4) restarted.resolve();
    },
  });
  await restarted.promise;
  await kept.end('SIGTERM', 1000);

  t.deepEqual(waits, [1, 2, 4, 4]);
  t.deepEqual(new Set(ends), new Set(['exit code 1']));
});

test('a process that is ended on purpose is not restarted', async (t) => {
  const first = spawn('sleep', ['60']);
  const closed = once(first, 'close');
  const kept = keepRunning(first, () => t.fail('restarted'), {
    delayMs: { min: 0, max: 0 },
    onEnd: () => t.fail('restarting'),
  });

  await kept.end('SIGTERM', 10_000);
  await closed;

  t.is(kept.current(), first);
  t.is(describeEnd(first), 'SIGTERM');
});

test('ending a process that has ended or never started returns at once', async (t) => {
  const ended = spawn('true');
  await once(ended, 'exit');
  const neverStarted = spawn('/no/such/program');
  await once(neverStarted, 'error');

  for (const child of [ended, neverStarted]) {
    t.false(isRunning(child));
    await t.notThrowsAsync(endChild(child, 'SIGTERM', 10_000));
  }
});

test('a process that has ended already does not become ready', async (t) => {
  const ended = spawn('false');
  await once(ended, 'exit');

  await t.throwsAsync(whenReady(ended, 'a program', 10_000), {
    message: 'a program did not start (exit code 1)',
  });
});

function launchFalse(): ChildProcess {
  return spawn('false');
}
