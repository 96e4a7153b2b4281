import {
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  ConnectionError,
  InvalidInputError,
  SchemaValidationError,
} from 'slonik';

/** SQLSTATEs and socket errors of a database that is away, going away, not there, or has become read-only. */
const AWAY = /^(08|3D|53|57P|25006|25P03)|^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/;
const awayErrors = [ConnectionError, BackendTerminatedError, BackendTerminatedUnexpectedlyError];

/** The SQLSTATE of a database error, however deep the libraries have wrapped it. */
export function sqlStateOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/**
 * Whether one row of several may be to blame: bad or unreadable data, a broken constraint, a refusing trigger,
 * or a lock that was waited for for as long as it may.
 */
export function isRowError(error: unknown): boolean {
  // The second stands for 22P02, and has lost its SQLSTATE on the way.
  if (error instanceof SchemaValidationError || error instanceof InvalidInputError) return true;
  return /^(22|23|OM|P0|55P03)/.test(sqlStateOf(error) ?? '');
}

/**
 * What a batch has waited for in vain, its parts wait for no longer than this: else those who share the batch with
 * one locked row would wait as long as it may take, time and again, until that row is found.
 */
export const LOCK_TIMEOUT_AGAIN_MS = 20;

/** Whether the database is away, or has gone away in the middle. */
export function isDatabaseAway(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && AWAY.test(code)) return true;
    if (awayErrors.some((kind) => e instanceof kind)) return true;
  }
  return false;
}
