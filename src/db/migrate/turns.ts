import { setTimeout } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import type { Logger } from 'pino';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import { explainMissingRights } from '../roles.ts';
import { watchLocks, type Wait } from './lock-watch.ts';

/** How long all attempts together may take before migrate gives up. */
const PATIENCE_MS = 60_000;
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
 * How long a statement waits for a lock. With the right to set it (sql/database.sql grants it), migrate checks for
 * deadlocks after 300 ms and gives up after 900 ms, before other sessions check after 1 s. So in a deadlock with a
 * request, migrate is the one that gives up. The same check cancels an autovacuum that holds the lock.
 */
const LIMIT_LOCKS = `
  SELECT CASE WHEN may THEN set_config('deadlock_timeout', '300ms', true) END,
    set_config('lock_timeout', CASE WHEN may THEN '900ms' ELSE '2s' END, true)
  FROM (SELECT has_parameter_privilege('deadlock_timeout', 'SET') AS may) AS privilege
`;

/**
 * Runs `work` in one transaction, one migrate at a time. When a lock is not free in time, it rolls
 * back, logs which lock and who holds it, pauses, and tries again; after a minute it throws a ReadableError
 * that names the holder. Any other error rolls back and is thrown.
 */
export async function inTurn(
  client: Client,
  { databaseUrl, log, patienceMs = PATIENCE_MS }: TurnOptions,
  work: () => Promise<void>,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  const watch = await watchLocks(databaseUrl, await pidOf(client));
  try {
    for (let tries = 0; ; tries += 1) {
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
      const error = await attempt(client, work);
      if (error === undefined) return;
      const waited = explainWait(error, watch.lastWait());
      if (Date.now() + pauseMs > deadline) {
        throw new ReadableError(
          `Migrating gave up after ${Math.round(patienceMs / 1000)} s, and changed nothing: it waits for ` +
            `${waited}. End that transaction, then migrate again.`,
          { cause: error },
        );
      }
      log.warn(`migrate waits for ${waited}; trying again`);
      await setTimeout(pauseMs * (0.5 + Math.random() / 2));
    }
  } finally {
    await watch.stop();
  }
}

/** The database to migrate, where waits are logged, and how long to try. */
export type TurnOptions = { databaseUrl: string; log: Logger; patienceMs?: number };

/** Resolves with undefined when the work is committed, or with an error after which another attempt can succeed. */
async function attempt(client: Client, work: () => Promise<void>) {
  const first = !(await hasBooks(client));
  try {
    await client.query(BEGIN);
    await client.query(LIMIT_LOCKS);
    if (!first) await takeTurn(client);
    await work();
    await client.query('COMMIT');
    return undefined;
  } catch (error: unknown) {
    await client.query('ROLLBACK').catch(() => undefined);
    if (isLockError(error)) return error;
    // Another migrate has filled the database that was empty.
    if (first && isRace(error) && (await hasBooks(client))) return error;
    throw error;
  }
}

/**
 * Waits until no other migrate runs. Only the owner of this table can take a conflicting lock on it. Any login could
 * hold an advisory lock, and so block migrate.
 */
async function takeTurn(client: Client): Promise<void> {
  try {
    await client.query('LOCK TABLE public.migrations IN SHARE UPDATE EXCLUSIVE MODE');
  } catch (error) {
    throw explainMissingRights(error);
  }
}

function isLockError(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  if (error.code === '55P03' || error.code === '40P01') return true;
  // Another database of this server is being migrated: roles belong to the whole server.
  if (error.code === '23505') return error.schema === 'pg_catalog';
  return error.code === 'XX000' && error.message.startsWith('tuple concurrently');
}

/** Whether two migrates of an empty database have made the same object. */
function isRace(error: unknown): boolean {
  return ['42P06', '42P07', '42710', '42723'].includes(sqlStateOf(error) ?? '');
}

function explainWait(error: unknown, wait: Wait | undefined): string {
  if (wait) return `${wait.lock}, held by ${wait.holders.join(' and by ')}`;
  const { message, detail } = error as DatabaseError;
  return `another session (${detail ?? message})`.replace(/\s+/g, ' ');
}

async function hasBooks(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_class
       WHERE oid = to_regclass('public.migrations') AND pg_get_userbyid(relowner) = 'oms_owner'
     ) AS there`,
  );
  return rows[0]?.there ?? false;
}

async function pidOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}
