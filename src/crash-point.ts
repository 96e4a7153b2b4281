/**
 * The points where a crash could do harm, by kind of process: an API, a worker without an external step (`worker`), and
 * a worker with one (`fulfiller`). `statement-sent`: a statement that changes orders is on its way to the database.
 */
export const crashPoints = {
  api: ['batch-taken', 'statement-sent', 'after-commit', 'after-publish', 'after-reply'],
  worker: ['statement-sent', 'after-work-commit'],
  fulfiller: ['after-claim', 'after-take', 'after-call', 'statement-sent', 'after-work-commit'],
} as const;
export type CrashPoint = (typeof crashPoints)[keyof typeof crashPoints][number];

let onPass: ((point: CrashPoint) => void) | undefined;

/** Marks a point. Does nothing in production: only the chaos tests arm the points (chaos/arm.ts). */
export function crashPoint(point: CrashPoint): void {
  onPass?.(point);
}

/** Sets the function that each point calls. No setting does this: a module that is loaded first must call it. */
export function armCrashPoints(callback: (point: CrashPoint) => void): void {
  onPass = callback;
}
