import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ReadableError } from '../process.ts';

/** The folder that `npm start` keeps its things in. Held by one process at a time. */
export type DataDir = {
  path: (name: string) => string;
  /** A secret in a file, made the first time that it is asked for: at random, unless another way is given. */
  secret: (name: string, make?: () => string) => string;
  release: () => void;
};

/** Creates the folder if need be and takes it. Throws one line when another process holds it. */
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
  // Removes the lock of a killed process. A lock that another process has made since the check stays.
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
 * When a process started, in clock ticks since boot: after a reboot its number may be another's. See
 * proc(5), field 22. 0 where there is no /proc.
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
