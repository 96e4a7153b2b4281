import {
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  ConnectionError,
  InvalidInputError,
  SchemaValidationError,
} from 'slonik';
import { innermostMessage } from '../error-cause.ts';

/** SQLSTATEs when the database is away; `isDatabaseAway` says what counts. */
const AWAY_STATE = /^(08|3D|53|57P|25006|25P03)/;
/** The same as codes of socket errors. */
const AWAY_SOCKET = /^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/;
const AWAY = 'the database is away';
/** Messages of errors of the package pg that have no code, and of DatabaseAway: pg-boss copies it without its class. */
const AWAY_MESSAGE = new RegExp(
  `^(${AWAY}|Connection terminated|timeout e|Query read timeout|Client (has|was))`,
);
const awayErrors = [ConnectionError, BackendTerminatedError, BackendTerminatedUnexpectedlyError];

/** The SQLSTATE of a database error, at any depth of its causes. */
export function sqlStateOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/**
 * Whether one row of several can have caused the error: bad or unreadable data, a violated constraint, a trigger that
 * refuses, or a lock timeout.
 */
export function isRowError(error: unknown): boolean {
  // InvalidInputError stands for 22P02; slonik drops its SQLSTATE.
  if (error instanceof SchemaValidationError || error instanceof InvalidInputError) return true;
  return /^(22|23|OM|P0|55P03)/.test(sqlStateOf(error) ?? '');
}

/**
 * How long the parts of a batch wait for a lock after the batch has failed. Short, because one part after another may
 * wait for the same locked row.
 */
export const LOCK_TIMEOUT_AGAIN_MS = 20;

/** Wraps the error of a connection to the database. A socket error alone does not tell to which server it belongs. */
class DatabaseAway extends Error {
  override name = 'DatabaseAway';
}

/** Wraps an error of a connection to the database for `isOutage`, if the error means that the database is away. */
export function asOutage(cause: unknown): unknown {
  if (!isDatabaseAway(cause)) return cause;
  return new DatabaseAway(`${AWAY}: ${innermostMessage(cause)}`, { cause });
}

/** Whether an error certainly means that the database is away. isDatabaseAway also accepts errors of other sockets. */
export function isOutage(error: unknown): error is Error {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ([...awayErrors, DatabaseAway].some((kind) => e instanceof kind)) return true;
  }
  return AWAY_STATE.test(sqlStateOf(error) ?? '');
}

/**
 * Whether the error means that the database is away: unreachable, shutting down, missing, full or read-only, or that it
 * has ended the session.
 */
export function isDatabaseAway(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && (AWAY_STATE.test(code) || AWAY_SOCKET.test(code))) return true;
    if (AWAY_MESSAGE.test(e.message)) return true;
    if (awayErrors.some((kind) => e instanceof kind)) return true;
  }
  return false;
}
