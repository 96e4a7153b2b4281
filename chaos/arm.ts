/*
 * Crash points are named places in our code (src/crash-point.ts). They do nothing, unless a process loads this module
 * with --import: that arms one point. `arm.ts?point=after-commit&pass=3&delay_ms=0` makes the process kill itself
 * `delay_ms` after it passes the point for the third time. Before that it writes a line to stderr, synchronously.
 */
import { writeSync } from 'node:fs';
import { armCrashPoints, type CrashPoint } from '../src/crash-point.ts';

/** The line on stderr begins with this text. */
export const CRASHED = 'crash point reached';

/** Where and when a process crashes. */
export type Crash = { point: CrashPoint; pass: number; delayMs: number };

/** The URL of this module for --import, with the crash in its query. */
export function armed({ point, pass, delayMs }: Crash): string {
  const [module] = new URL(import.meta.url).href.split('?');
  return `${module}?point=${point}&pass=${pass}&delay_ms=${delayMs}`;
}

const { searchParams } = new URL(import.meta.url);
const point = searchParams.get('point');
const delayMs = Number(searchParams.get('delay_ms'));
let left = Number(searchParams.get('pass'));

if (point) {
  armCrashPoints((passed) => {
    if (passed !== point) return;
    left -= 1;
    if (left > 0) return;
    if (delayMs === 0) crash();
    else if (left === 0) setTimeout(crash, delayMs);
  });
}

function crash(): void {
  writeSync(2, `${CRASHED}: ${point}\n`);
  process.kill(process.pid, 'SIGKILL');
}
