import { armCrashPoints, type CrashPoint } from '../../src/crash-point.ts';

/** Thrown at a crash point, in place of a crash of the process: the code after the point does not run. */
export class Death extends Error {
  override name = 'Death';
}

/** Runs `act`, with a crash point that throws `Death`. Returns the error of `act`. Throws when `act` succeeds. */
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
  throw new Error(`Nothing passed the crash point ${point}`);
}
