import { createPool, sql, type CommonQueryMethods, type DatabasePool } from 'slonik';
import { z } from 'zod';
import { createConnector } from '../db/connection/client.ts';
import { createDatabaseDriver } from '../db/connection/driver.ts';
import { rowHandling, typeParsers, UNUSED_URL } from '../db/pool.ts';
import { ReadableError } from '../process.ts';

/**
 * One connection for an audit. It also works through PgBouncer, because no setting and no cursor is needed after the
 * end of a transaction.
 */
export type AuditSession = DatabasePool;

const TIMEOUT_MS = 600_000;
const KIND = {
  name: 'oms-audit',
  statementTimeoutMs: TIMEOUT_MS,
  idleInTransactionTimeoutMs: TIMEOUT_MS,
};

/** Longer than any audit. */
const AUDIT_MS_MAX = 7 * 86_400_000;

const SETTINGS = {
  statement_timeout: `${TIMEOUT_MS}ms`,
  idle_in_transaction_session_timeout: `${TIMEOUT_MS}ms`,
  lock_timeout: '30s', // a running migrate locks the views
  work_mem: '64MB', // a window sorts in memory
  jit: 'off', // compiling takes longer than a window
  max_parallel_workers_per_gather: '0',
};

/** Connects to the primary. Refuses a replica: its data is older than the report would say. */
export async function openSession(databaseUrl: string): Promise<AuditSession> {
  const connector = createConnector(databaseUrl, KIND);
  const session = await createPool(UNUSED_URL, {
    ...rowHandling,
    driverFactory: createDatabaseDriver(connector, typeParsers),
    maxPoolSize: 1,
    connectionRetryLimit: 0,
    transactionRetryLimit: 0,
    idleTimeout: AUDIT_MS_MAX,
    maximumConnectionAge: AUDIT_MS_MAX,
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
    await tx.query(sql.unsafe`
      SELECT set_config(name, setting, true)
      FROM jsonb_each_text(${JSON.stringify(SETTINGS)}::jsonb) AS local (name, setting)
    `);
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
