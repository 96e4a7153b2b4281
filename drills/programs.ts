import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ReadableError } from '../src/process.ts';

const FOLDERS = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'];

/**
 * The path of a program. Installs its package as root on Debian or Ubuntu, without starting a server of the package;
 * elsewhere throws an error that says what to install.
 */
export function requireProgram(name: string, debianPackage = name): string {
  const found = find(name);
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    process.stderr.write(`Installing ${debianPackage} (apt-get) …\n`);
    aptGet('update', '-qq');
    aptGet('install', '-y', '-qq', '--no-install-recommends', debianPackage);
  }
  const installed = find(name);
  if (installed) return installed;
  throw new ReadableError(`This drill needs a real ${name}: install the package ${debianPackage}`);
}

function find(name: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));
}

/** Runs apt-get without questions. With RUNLEVEL=1 the package does not start its server. */
function aptGet(...args: string[]): void {
  const variables = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];
  spawnSync('env', [...variables, 'apt-get', ...args], { stdio: 'ignore' });
}
