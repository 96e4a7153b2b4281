import { setTimeout } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import type { Logger } from 'pino';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import { observeLocks, type Wait } from './lock-holders.ts';
import { explainMissingRights } from './roles.ts';

/** How long all attempts together may take before migrate gives up. */
const TIMEOUT_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;

const BEGIN = `
  BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
  SET LOCAL statement_timeout = 0;
  SET LOCAL idle_in_transaction_session_timeout = 0;
  SET LOCAL client_min_messages = warning;
  SET LOCAL search_path = pg_catalog, pg_temp;
`;
/**
 * Limits how long a statement waits for a lock. With the right to set it (sql/database.sql grants it), migrate checks
 * for deadlocks after 300 ms and gives up after 900 ms, before other sessions check after 1 s. So in a deadlock with a
 * request, migrate is the one that fails. The same check cancels an autovacuum that holds the lock.
 */
const LIMIT_LOCK_WAITS = `
  SELECT CASE WHEN may THEN set_config('deadlock_timeout', '300ms', true) END,
    set_config('lock_timeout', CASE WHEN may THEN '900ms' ELSE '2s' END, true)
  FROM (SELECT has_parameter_privilege('deadlock_timeout', 'SET') AS may) AS privilege
`;

/** The database to migrate, the log for waits, and how long to try. */
type LockOptions = { databaseUrl: string; log: Logger; timeoutMs?: number };

/**
 * Runs `work` in one transaction, with a lock that makes other runs of migrate wait. When a lock is not free in time,
 * rolls back, logs which lock and which session holds it, pauses, and tries again. After a minute it throws a
 * ReadableError that names the session. Any other error rolls back and is thrown.
 */
export async function withMigrationLock(
  client: Client,
  { databaseUrl, log, timeoutMs = TIMEOUT_MS }: LockOptions,
  work: () => Promise<void>,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  const observer = await observeLocks(databaseUrl, await pidOf(client));
  try {
    for (let tries = 0; ; tries += 1) {
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
      const error = await attempt(client, work);
      if (error === undefined) return;
      const waited = describeWait(error, observer.lastWait());
      if (Date.now() + pauseMs > deadline) {
        throw new ReadableError(
          `Migrating gave up after ${Math.round(timeoutMs / 1000)} s, and changed nothing. It was waiting ` +
            `for ${waited}. End that transaction, then migrate again.`,
          { cause: error },
        );
      }
      log.warn(`migrate waits for ${waited}; trying again`);
      await setTimeout(pauseMs * (0.5 + Math.random() / 2));
    }
  } finally {
    await observer.stop();
  }
}

/** Resolves with undefined when the work is committed, or with an error after which another attempt can succeed. */
async function attempt(client: Client, work: () => Promise<void>) {
  const isFirst = !(await hasMigrationsTable(client));
  try {
    await client.query(BEGIN);
    await client.query(LIMIT_LOCK_WAITS);
    if (!isFirst) await lockMigrations(client);
    await work();
    await client.query('COMMIT');
    return undefined;
  } catch (error: unknown) {
    await client.query('ROLLBACK').catch(() => undefined);
    if (isLockError(error)) return error;
    // Another run of migrate has filled the empty database at the same time.
    if (isFirst && isDuplicate(error) && (await hasMigrationsTable(client))) return error;
    throw error;
  }
}

/**
 * Waits until no other migrate runs. This is no advisory lock, because any login can hold one and thereby block
 * migrate. Only the owner of the table can take a lock on it that conflicts.
 */
async function lockMigrations(client: Client): Promise<void> {
  try {
    await client.query('LOCK TABLE public.migrations IN SHARE UPDATE EXCLUSIVE MODE');
  } catch (error) {
    throw explainMissingRights(error);
  }
}

function isLockError(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  if (error.code === '55P03' || error.code === '40P01') return true;
  // Roles belong to the whole server: another run of migrate changes them at the same time, for another database.
  if (error.code === '23505') return error.schema === 'pg_catalog';
  // Another session has updated or deleted the same row of a catalog. Every internal error has the code XX000, so the
  // routine tells which one this is.
  return error.code === 'XX000' && /^simple_heap_(update|delete)$/.test(error.routine ?? '');
}

/** Whether the error says that an object exists already. */
function isDuplicate(error: unknown): boolean {
  return ['42P06', '42P07', '42710', '42723'].includes(sqlStateOf(error) ?? '');
}

function describeWait(error: unknown, wait: Wait | undefined): string {
  if (wait) return `${wait.lock}, held by ${wait.holders.join(' and by ')}`;
  const { message, detail } = error as DatabaseError;
  return `another session (${detail ?? message})`.replace(/\s+/g, ' ');
}

async function hasMigrationsTable(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_class
       WHERE oid = to_regclass('public.migrations') AND pg_get_userbyid(relowner) = 'oms_owner'
     ) AS exists`,
  );
  return rows[0]?.exists ?? false;
}

async function pidOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}
