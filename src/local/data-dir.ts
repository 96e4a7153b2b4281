import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ReadableError } from '../process.ts';

/** The folder in which `npm start` keeps its files. One process at a time holds its lock. */
export type DataDir = {
  path: (name: string) => string;
  /** Reads a secret from its file. Makes the secret and the file the first time, by default at random. */
  secret: (name: string, make?: () => string) => string;
  release: () => void;
};

/** Creates the folder if necessary, and locks it. Throws a ReadableError when another process has locked it. */
export function takeDataDir(dir: string): DataDir {
  mkdirSync(dir, { recursive: true });
  const path = (name: string) => join(dir, name);
  const lock = path('lock');
  takeLock(lock, dir);
  return {
    path,
    secret(name, make = randomSecret) {
      const file = path(name);
      const found = readIfThere(file);
      if (found !== null && found !== '') return found;
      const secret = make().trim();
      writeFileSync(file, `${secret}\n`, { mode: 0o600 });
      return secret;
    },
    release: () => rmSync(lock, { force: true }),
  };
}

function randomSecret(): string {
  return randomBytes(32).toString('base64url');
}

function takeLock(lock: string, dir: string): void {
  const found = readIfThere(lock);
  const [holder = 0, startedAt] = (found ?? '').split(' ').map(Number);
  if (holder > 0 && holder !== process.pid && isAlive(holder) && startTime(holder) === startedAt) {
    throw new ReadableError(
      `${dir} is in use by process ${holder}; stop it, or set DATA_DIR to another folder`,
    );
  }
  // Removes the lock of a killed process. `wx` fails when another process has made a lock meanwhile.
  if (found !== null) rmSync(lock, { force: true });
  try {
    writeFileSync(lock, `${process.pid} ${startTime(process.pid)}\n`, { flag: 'wx' });
  } catch (cause) {
    throw new ReadableError(`${dir} has just been taken by another process`, { cause });
  }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * When a process started, in clock ticks since boot: proc(5), field 22. It tells the process from a later one with the
 * same number. 0 on a system without /proc.
 */
function startTime(pid: number): number {
  const stat = readIfThere(`/proc/${pid}/stat`) ?? '';
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // alive, and owned by another user
  }
}
