import { Client, type QueryResultRow } from 'pg';
import { ReadableError } from '../process.ts';

/**
 * A connection of the audit's own. Not slonik's pool: each window is a transaction with its isolation
 * level in the BEGIN, and --since reads from a cursor that outlives the transaction.
 */
export type Session = {
  rows: <R extends QueryResultRow>(statement: string, values?: unknown[]) => Promise<R[]>;
  /** Everything inside is one snapshot, and nothing is written. It ends soon: it pins xmin meanwhile. */
  snapshot: <T>(work: () => Promise<T>) => Promise<T>;
  close: () => Promise<void>;
};

const SETTINGS = [
  "statement_timeout = '10min'",
  "lock_timeout = '30s'", // a migration in progress has the views
  "work_mem = '64MB'", // a window sorts in memory
  'jit = off', // compiling takes longer than a window
  'max_parallel_workers_per_gather = 0',
  "TimeZone = 'UTC'",
];

/** Connects to the primary. A verdict read from a replica would be about another moment than it says. */
export async function openSession(databaseUrl: string): Promise<Session> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'oms-audit' });
  client.on('error', () => undefined); // the statement under way fails, and says why
  await client.connect();
  const rows: Session['rows'] = async (statement, values = []) => {
    return (await client.query(statement, values)).rows;
  };
  const session: Session = {
    rows,
    async snapshot(work) {
      await rows('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      try {
        const result = await work();
        await rows('COMMIT');
        return result;
      } catch (error) {
        await rows('ROLLBACK').catch(() => undefined);
        throw error;
      }
    },
    close: () => client.end(),
  };
  try {
    for (const setting of SETTINGS) await rows(`SET ${setting}`);
    await requireAuditable(session);
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function requireAuditable({ rows }: Session): Promise<void> {
  const [state] = await rows<{ replica: boolean; views: boolean }>(`
    SELECT pg_is_in_recovery() AS replica, to_regclass('audit.violations') IS NOT NULL AS views
  `);
  if (state?.replica) {
    throw new ReadableError('This is a replica: the audit reads from the primary only');
  }
  if (!state?.views) {
    throw new ReadableError('This database has no schema audit: run npm run migrate first');
  }
}
