/** Where a crash could do harm: between the steps of placing an order, and of working on it. */
export const crashPoints = {
  api: ['batch-taken', 'after-commit', 'after-publish', 'after-answer'],
  worker: ['after-claim', 'after-work-commit'],
} as const;
export type CrashPoint = (typeof crashPoints)[keyof typeof crashPoints][number];

let onPass: ((point: CrashPoint) => void) | undefined;

/** Does nothing, unless the chaos harness has armed it in this process (chaos/arm.ts). */
export function crashPoint(point: CrashPoint): void {
  onPass?.(point);
}

/** Calls back at each pass of any point. No setting does this: only a module loaded beforehand can. */
export function armCrashPoints(callback: (point: CrashPoint) => void): void {
  onPass = callback;
}
