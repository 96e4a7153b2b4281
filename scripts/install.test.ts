import { existsSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sandbox } from './sandbox.ts';

test('the service is installed once, without the packages for tests', (t) => {
  const { install } = sandbox(t);

  const first = install('service');
  const second = install('service');

  t.deepEqual(first.npm, ['. ci --omit=dev --include=optional']);
  t.regex(first.stderr, /^Installing the packages of the service \(npm ci\) …\n/);
  t.deepEqual(second, { npm: [], status: 0, stderr: '' });
});

test('tests add their packages, and a later start of the service keeps them', (t) => {
  const { install } = sandbox(t);
  install('service');

  const tests = install('tests');
  const service = install('service');

  t.deepEqual(tests.npm, ['. install --no-save --include=dev --include=optional']);
  t.deepEqual(service.npm, []);
});

test('after a change of the lockfile, all installed packages are installed again', (t) => {
  const { install, write } = sandbox(t);
  install('tests');
  write('package-lock.json', '{ "version": 2 }');

  t.deepEqual(install('service').npm, ['. ci --include=dev --include=optional']);
  t.deepEqual(install('tests').npm, []);
});

test('the bench has its own packages', (t) => {
  const { install } = sandbox(t);

  t.deepEqual(install('bench').npm, [
    '. ci --omit=dev --include=optional',
    './bench ci --omit=dev --include=optional',
  ]);
  t.deepEqual(install('check').npm, ['. install --no-save --include=dev --include=optional']);
});

test('after an installation that failed, the next command installs again', (t) => {
  const { install } = sandbox(t);

  const failed = install('service', { npmFails: true });
  const again = install('service');

  t.is(failed.status, 1);
  t.regex(failed.stderr, /npm ci failed; see the lines above\.\n$/);
  t.is(again.npm.length, 1);
});

test('the machine’s own Node is used when it is new enough', (t) => {
  const { install, folder } = sandbox(t);

  install('service');

  t.is(realpathSync(join(folder, 'node_modules/.bin/node')), realpathSync(process.execPath));
});

test('a viewer that cannot be fetched is reported in one line', (t) => {
  const { install, folder } = sandbox(t);
  install('service');
  rmSync(join(folder, 'node_modules/.viewer'), { recursive: true });

  const { status, stderr } = install('service', { npmFails: true });

  t.is(status, 1);
  t.regex(stderr, /^Fetching the viewer of \/docs …\n@scalar\/\S+ cannot be fetched: [^\n]+\n$/);
  t.false(existsSync(join(folder, 'node_modules/.viewer/standalone.js')));
});

test('an unknown kind of command is refused', (t) => {
  const { status, stderr } = sandbox(t).install('all');

  t.is(status, 1);
  t.is(stderr, 'Usage: node scripts/install.mjs service|tests|bench|check\n');
});
