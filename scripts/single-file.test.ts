import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isThere, takeFile } from './single-file.mjs';

/** A package with one file, as npm fetches it, and the path for that file. */
function packageOf(t: ExecutionContext, content: string) {
  const folder = mkdtempSync(join(tmpdir(), 'oms-single-file-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'package/dist'), { recursive: true });
  writeFileSync(join(folder, 'package/package.json'), '{ "name": "viewer", "version": "1.0.0" }');
  writeFileSync(join(folder, 'package/dist/viewer.js'), content);
  spawnSync('tar', ['-czf', 'viewer.tgz', 'package'], { cwd: folder });
  const spec = join(folder, 'viewer.tgz');
  const integrity = `sha512-${createHash('sha512').update(readFileSync(spec)).digest('base64')}`;
  return { spec, integrity, file: 'dist/viewer.js', to: join(folder, 'node_modules/.viewer/a.js') };
}

test('the file is taken out of its package', (t) => {
  const viewer = packageOf(t, 'content');

  takeFile(viewer);

  t.is(readFileSync(viewer.to, 'utf8'), 'content');
  t.true(isThere(viewer));
  t.false(isThere({ ...viewer, integrity: 'sha512-of-a-newer-version' }));
});

test('a package that is not the pinned one is refused', (t) => {
  const viewer = { ...packageOf(t, 'content'), integrity: 'sha512-of-another' };

  t.throws(() => takeFile(viewer), {
    message: /has changed: its hash is sha512-\S+, not sha512-of-another/,
  });
  t.false(existsSync(viewer.to));
});

test('the error names the file that a package does not have', (t) => {
  const viewer = { ...packageOf(t, 'content'), file: 'dist/other.js' };

  t.throws(() => takeFile(viewer), { message: /^tar cannot read package\/dist\/other\.js: / });
  t.false(isThere(viewer));
});
