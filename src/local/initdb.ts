import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fchownSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { chown, mkdir, rename, rm } from 'node:fs/promises';
import { inheritedEnvironment } from '../config/load.ts';
import { ReadableError } from '../process.ts';
import { launchAs, type Account } from './account.ts';

/** The superuser of the embedded Postgres. */
export const SUPERUSER = 'postgres';
const WORKING_DIR = '/proc/self/cwd';

/**
 * Creates a data directory of Postgres. It has another name until it is complete, so an interrupted initdb does not
 * prevent the next start. Throws a ReadableError when initdb fails.
 */
export async function createDataDir(
  initdb: string,
  dataDir: string,
  passwordFile: string,
  account: Account | undefined,
): Promise<void> {
  const unfinished = `${dataDir}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  if (account) await chown(unfinished, account.uid, account.gid);
  const { command, as } = launchAs(account, initdb, [
    `--pgdata=${nameFor(account, unfinished)}`,
    `--username=${SUPERUSER}`,
    '--pwfile=/dev/stdin',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
  ]);
  const [program, ...args] = command;
  const passwordFd = openPassword(passwordFile, account);
  const { status, stderr, error } = spawnSync(program, args, {
    ...as,
    env: inheritedEnvironment(),
    cwd: unfinished,
    stdio: [passwordFd, 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  closeSync(passwordFd);
  if (status !== 0) {
    await rm(unfinished, { recursive: true, force: true });
    const lines = (error?.message ?? stderr).trim().split('\n');
    throw new ReadableError(
      `initdb failed: ${lines.find((line) => /error|FATAL/.test(line)) ?? lines.at(-1)}`,
    );
  }
  await rename(unfinished, dataDir);
}

/**
 * The name of a directory for a program that is started in it. Another account may not have the right to enter the
 * parents of the directory, so its programs use the name of their working directory instead.
 */
export function nameFor(account: Account | undefined, directory: string): string {
  return account && existsSync(WORKING_DIR) ? WORKING_DIR : directory;
}

/**
 * Opens the password file. For another account, opens a copy that this account may read, and deletes the name of the
 * copy from its folder.
 */
function openPassword(passwordFile: string, account: Account | undefined): number {
  if (!account) return openSync(passwordFile, 'r');
  const copy = `${passwordFile}.copy`;
  const fd = openSync(copy, 'w+', 0o600);
  rmSync(copy);
  fchownSync(fd, account.uid, account.gid);
  writeSync(fd, readFileSync(passwordFile), 0, undefined, 0);
  return fd;
}
