import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

/** A stand-in for npm. An installation makes node_modules with the viewer. Each call is recorded in NPM_CALLS. */
const NPM = `#!/bin/sh
echo "$PWD $*" >> "$NPM_CALLS"
[ "$NPM_FAILS" = yes ] && exit 1
mkdir -p node_modules/.bin node_modules/.viewer
touch node_modules/.viewer/standalone.js
cp "$VIEWER_HASH" node_modules/.viewer/standalone.js.from
`;

/** For tests: a new project with our scripts and a stand-in for npm, which records its calls. */
export function sandbox(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'oms-scripts-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, 'project');
  const calls = join(root, 'calls');
  const hash = join(root, 'hash');
  cpSync(fileURLToPath(new URL('.', import.meta.url)), join(folder, 'scripts'), {
    recursive: true,
  });
  mkdirSync(join(folder, 'bench'));
  const viewer = readFileSync(join(folder, 'scripts/viewer.mjs'), 'utf8');
  writeFileSync(hash, /sha512-[^']+/.exec(viewer)?.[0] ?? '');
  writeFileSync(calls, '');
  writeFileSync(join(root, 'npm'), NPM);
  chmodSync(join(root, 'npm'), 0o755);
  const PATH = [root, process.execPath.replace(/\/[^/]+$/, ''), '/usr/bin', '/bin'].join(delimiter);
  const env = {
    PATH,
    NPM_CALLS: calls,
    VIEWER_HASH: hash,
    npm_package_config_heap: '--max-old-space-size=99',
  };
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  for (const lock of ['package-lock.json', 'bench/package-lock.json']) write(lock, '{}');

  return {
    folder,
    write,
    /** Runs install.mjs. Returns its calls of npm, its exit code and its error output. */
    install: (kind: string, settings: { npmFails?: boolean } = {}) => {
      writeFileSync(calls, '');
      const { status, stderr } = spawnSync(process.execPath, ['scripts/install.mjs', kind], {
        cwd: folder,
        env: { ...env, NPM_FAILS: settings.npmFails ? 'yes' : '' },
        encoding: 'utf8',
      });
      const npm = readFileSync(calls, 'utf8').replaceAll(folder, '.').split('\n').slice(0, -1);
      return { npm: npm.map((call) => call.replace(/ --ignore-scripts.*/, '')), status, stderr };
    },
    /** Starts a command as npm does. */
    start: (command: string) => spawn('sh', ['-c', command], { cwd: folder, env }),
  };
}
