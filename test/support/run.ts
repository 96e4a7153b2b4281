/*
 * npm test [-- ARGUMENTS]: starts Postgres and Redis, runs the tests, stops both, and prints "N passed, N failed".
 *
 *   npm test                                     every test
 *   npm test -- test/ops/redrive.test.ts           the tests of a file; ava gets all arguments but --coverage
 *   npm test -- --match='*retry*'                the tests with such a title
 *   npm test -- --coverage                       also prints the coverage of src and jobs
 *
 * TEST_DATABASE_URL and TEST_REDIS_URL name servers to test against instead of starting them.
 * Exit code 0 when at least one test ran and all passed; 1 otherwise.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { exitOnFailure } from '../../src/process.ts';
import { cacheCompiledModules, passOn } from './environment.ts';
import { createLogins } from './logins.ts';
import { openTestServers } from './servers.ts';
import { createTemplate, onServer } from './template.ts';

const AVA = ['node_modules/.bin/ava', '--tap'];
const COVERED = ['src', 'jobs'].flatMap((folder) => ['--src', folder]);
const NOT_COVERED = ['**/*.test.ts', 'test/support/**', 'bench/**', 'scripts/**'].flatMap(
  (pattern) => ['--exclude', pattern],
);
const C8 = ['node_modules/.bin/c8', '--all', ...COVERED, ...NOT_COVERED, '--reporter', 'text'];

type Tally = { passed: number; failed: number };

await exitOnFailure(async () => {
  const args = process.argv.slice(2);
  const coverage = args.includes('--coverage');
  const rest = args.filter((arg) => arg !== '--coverage');
  const servers = await openTestServers();
  const template = `oms_test_template_${process.pid}`;
  passOn({ ...servers, template });
  if (!coverage) cacheCompiledModules(); // coverage needs modules that are not compiled yet
  try {
    await createTemplate(template);
    await createLogins();
    const { passed, failed } = await runTests([...(coverage ? C8 : []), ...AVA, ...rest]);
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
  // After a crash outside any test, each test that did not report counts as failed.
  tally.failed += Math.max(planned - tally.passed - tally.failed, 0);
  if (code !== 0 && tally.failed === 0) tally.failed = 1;
  return tally;
}
