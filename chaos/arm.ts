/*
 * Loaded with --import into a process that must crash: `arm.ts?point=after-commit&pass=3&delay_ms=0` makes the process
 * kill itself `delay_ms` after it passes the point for the third time. It reports this on stderr first, synchronously.
 */
import { writeSync } from 'node:fs';
import { armCrashPoints, type CrashPoint } from '../src/crash-point.ts';

export const CRASHED = 'crash point reached';

/** Where and when a process crashes. */
export type Crash = { point: CrashPoint; pass: number; delayMs: number };

/** The module that this process imports. */
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
