/*
 * `npm test`: brings up Postgres and Redis, runs every test, cleans up, and ends with a tally.
 * `npm test -- --coverage` reports coverage; further arguments go to ava, for instance a file's name.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { exitOnFailure } from '../../src/process.ts';
import { openTestServers } from './servers.ts';
import { createLogins } from './logins.ts';
import { createTemplate, onServer } from './template.ts';

const AVA = ['node_modules/.bin/ava', '--tap'];
const C8 = [
  'node_modules/.bin/c8',
  '--src',
  'src',
  '--src',
  'jobs',
  '--all',
  '--exclude',
  '**/*.test.ts',
  '--exclude',
  'test/support/**',
  '--exclude',
  'bench/**',
  '--exclude',
  'scripts/**',
  '--reporter',
  'text',
];

type Tally = { passed: number; failed: number };

await exitOnFailure(async () => {
  const args = process.argv.slice(2);
  const coverage = args.includes('--coverage');
  const rest = args.filter((arg) => arg !== '--coverage');
  const servers = await openTestServers();
  process.env.TEST_DATABASE_URL = servers.databaseUrl;
  process.env.TEST_REDIS_URL = servers.redisUrl;
  const template = `oms_test_template_${process.pid}`;
  process.env.TEST_TEMPLATE = template;
  // Every test file and every process that one starts loads the same modules. (Coverage needs them uncompiled.)
  if (!coverage) process.env.NODE_COMPILE_CACHE ??= join(process.cwd(), 'node_modules/.cache/node');
  try {
    await createTemplate(template);
    await createLogins();
    const command = [...(coverage ? C8 : []), ...AVA, ...rest];
    const { passed, failed } = await runTests(command);
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
  } finally {
    await onServer(`DROP DATABASE IF EXISTS ${template} WITH (FORCE)`);
    await servers.stop();
  }
});

/** Runs ava and counts the tests. Prints failures in full, and one line for each passed test. */
async function runTests([program = '', ...args]: string[]): Promise<Tally> {
  const tally = { passed: 0, failed: 0 };
  let planned = 0;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    if (/^ok \d+/.test(line) && !line.includes('# SKIP')) tally.passed += 1;
    if (/^not ok \d+/.test(line)) tally.failed += 1;
    planned = Number(/^1\.\.(\d+)/.exec(line)?.[1] ?? planned);
    if (!/^(TAP version|# |1\.\.\d|---|\.\.\.$)/.test(line)) process.stdout.write(`${line}\n`);
  }
  const code = await exited;
  // A crash outside any test is a failure too, and so is each test that did not report because of it.
  tally.failed += Math.max(planned - tally.passed - tally.failed, 0);
  if (code !== 0 && tally.failed === 0) tally.failed = 1;
  return tally;
}
