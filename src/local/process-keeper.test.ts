import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { createProcessKeeper } from './process-keeper.ts';
import { isAlive } from '../../test/support/processes.ts';

const REPORT_READY = `process.send('ready'); process.stdout.write(process.pid + '\\n');`;
const STAY = `setInterval(() => undefined, 1000);`;
const IGNORE_SIGTERM = `process.on('SIGTERM', () => undefined);`;

test('a child that ignores SIGTERM is killed after the timeout', async (t) => {
  const { keeper, output } = keeperIn(t);
  await keeper.start('stubborn', moduleOf(t, IGNORE_SIGTERM + STAY + REPORT_READY), {});
  const pid = Number(String((await once(output, 'data'))[0]));

  await keeper.stop();

  t.true(pid > 0);
  t.false(isAlive(pid));
});

test('a child that does not become ready in time is killed, and the start fails', async (t) => {
  const { keeper } = keeperIn(t, 2_000);

  await t.throwsAsync(keeper.start('silent', moduleOf(t, STAY), {}), {
    message: 'silent did not start (SIGKILL)',
  });
});

test('a child that ends before it is ready is not started again', async (t) => {
  const { keeper, printed } = keeperIn(t);

  await t.throwsAsync(keeper.start('broken', moduleOf(t, 'process.exit(3)'), {}), {
    message: 'broken did not start (exit code 3)',
  });

  t.deepEqual(printed, []);
});

function keeperIn(t: ExecutionContext, readyMs = 60_000) {
  const output = new PassThrough();
  const printed: string[] = [];
  const print = (line: string) => void printed.push(line);
  const keeper = createProcessKeeper(output, print, { readyMs, stopMs: 200 });
  t.teardown(() => keeper.stop());
  return { keeper, output, printed };
}

function moduleOf(t: ExecutionContext, text: string): URL {
  const dir = mkdtempSync(join(tmpdir(), 'oms-child-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'child.mjs'), text);
  return pathToFileURL(join(dir, 'child.mjs'));
}
