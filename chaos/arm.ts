/*
 * Loaded with --import into a process that is to crash: `arm.ts?point=after-commit&pass=3` makes it kill
 * itself the third time that it passes there. Says so on stderr first, synchronously.
 */
import { writeSync } from 'node:fs';
import { armCrashPoints, type CrashPoint } from '../src/crash-point.ts';

export const CRASHED = 'crash point reached';

/** Where and when a process is to crash. */
export type Crash = { point: CrashPoint; pass: number };

/** What to import into that process. */
export function armed({ point, pass }: Crash): string {
  return `${new URL(import.meta.url).href.split('?')[0]}?point=${point}&pass=${pass}`;
}

const { searchParams } = new URL(import.meta.url);
const point = searchParams.get('point');
let left = Number(searchParams.get('pass'));

if (point) {
  armCrashPoints((passed) => {
    if (passed !== point) return;
    left -= 1;
    if (left > 0) return;
    writeSync(2, `${CRASHED}: ${point}\n`);
    process.kill(process.pid, 'SIGKILL');
  });
}
