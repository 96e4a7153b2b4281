import {
  createPool,
  sql,
  type CommonQueryMethods,
  type DatabasePool,
  type Interceptor,
} from 'slonik';
import { z } from 'zod';
import { rowHandling } from '../db/pool.ts';
import { ReadableError } from '../process.ts';

/** One connection for an audit. It stays open, because a cursor of the session outlives its transaction. */
export type AuditSession = DatabasePool;

const STATEMENT_TIMEOUT_MS = 600_000;

/** Longer than any audit. */
const AUDIT_MS_MAX = 7 * 86_400_000;

const SETTINGS = [
  sql.unsafe`SET lock_timeout = '30s'`, // a running migrate locks the views
  sql.unsafe`SET work_mem = '64MB'`, // a window sorts in memory
  sql.unsafe`SET jit = off`, // compiling takes longer than a window
  sql.unsafe`SET max_parallel_workers_per_gather = 0`,
  sql.unsafe`SET TimeZone = 'UTC'`,
];

const applySettings: Interceptor = {
  name: 'audit-settings',
  async afterPoolConnection(_context, connection) {
    for (const setting of SETTINGS) await connection.query(setting);
    return null;
  },
};

/** Connects to the primary. Refuses a replica: its data is older than the report would say. */
export async function openSession(databaseUrl: string): Promise<AuditSession> {
  const session = await createPool(databaseUrl, {
    ...rowHandling,
    interceptors: [...rowHandling.interceptors, applySettings],
    maxPoolSize: 1,
    connectionRetryLimit: 0,
    transactionRetryLimit: 0,
    idleTimeout: AUDIT_MS_MAX,
    maximumConnectionAge: AUDIT_MS_MAX,
    idleInTransactionSessionTimeout: 'DISABLE_TIMEOUT',
    statementTimeout: STATEMENT_TIMEOUT_MS,
  });
  session.on('error', () => undefined); // the running statement fails with the same error
  try {
    await requireAuditable(session);
    return session;
  } catch (error) {
    await session.end();
    throw error;
  }
}

/**
 * Runs statements that all see one snapshot of the database, and that write nothing. Keep `work` short: until it ends,
 * VACUUM cannot remove rows that are deleted meanwhile.
 */
export function inSnapshot<T>(
  session: AuditSession,
  work: (tx: CommonQueryMethods) => Promise<T>,
): Promise<T> {
  return session.transaction(async (tx) => {
    await tx.query(sql.unsafe`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`);
    return work(tx);
  });
}

const State = z.object({ replica: z.boolean(), views: z.boolean() });

async function requireAuditable(session: AuditSession): Promise<void> {
  const { replica, views } = await session.one(sql.type(State)`
    SELECT pg_is_in_recovery() AS replica, to_regclass('audit.violations') IS NOT NULL AS views
  `);
  if (replica) throw new ReadableError('This is a replica: the audit reads from the primary only');
  if (!views) {
    throw new ReadableError('This database has no schema audit: run npm run migrate first');
  }
}
