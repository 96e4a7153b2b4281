/**
 * Where a crash could do harm, by kind of process: an API, a worker that completes orders without an external step, and
 * one that has them fulfilled. `statement-sent` is passed while a statement that changes orders is on its way.
 */
export const crashPoints = {
  api: ['batch-taken', 'statement-sent', 'after-commit', 'after-publish', 'after-answer'],
  worker: ['statement-sent', 'after-work-commit'],
  fulfiller: ['after-claim', 'after-take', 'after-call', 'statement-sent', 'after-work-commit'],
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
