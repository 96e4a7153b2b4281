import { armCrashPoints, type CrashPoint } from '../../src/crash-point.ts';

/** Stands in for the end of the process: nothing after the crash point is carried out. */
export class Death extends Error {
  override name = 'Death';
}

/** Does something that dies when it passes a crash point. Returns what it was rejected with; fails if it was not. */
export async function dieAt(point: CrashPoint, act: () => Promise<unknown>): Promise<unknown> {
  armCrashPoints((passed) => {
    if (passed === point) throw new Death(point);
  });
  try {
    await act();
  } catch (error) {
    return error;
  } finally {
    armCrashPoints(() => undefined);
  }
  throw new Error(`${point} was not passed`);
}
