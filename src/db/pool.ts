import { createPool, SchemaValidationError } from 'slonik';
import type { DatabasePool, DriverTypeParser, Interceptor, QueryResultRow } from 'slonik';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { isDatabaseAway } from './errors.ts';
import { limitWaiting } from './waiting.ts';

/** Also how long a request waits for a connection while all are in use, before it is told to come back. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Opens the pool that all of our own SQL runs on. Rejects when the database is away; survives it later. */
export async function openPool(
  config: Pick<Config, 'DATABASE_URL' | 'POOL_SIZE_MAX'>,
  log: Logger,
): Promise<DatabasePool> {
  const pool = await createPool(config.DATABASE_URL, {
    maxPoolSize: config.POOL_SIZE_MAX,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    connectionRetryLimit: 1,
    idleTimeout: 60_000,
    statementTimeout: 10_000,
    idleInTransactionSessionTimeout: 10_000,
    captureStackTrace: false,
    interceptors: [validateRows],
    typeParsers,
    // Instead of DISCARD ALL after each use, a round trip: all we ever set is local to a transaction.
    resetConnection: async () => undefined,
  });
  // slonik tells of every refused statement here too; those are answered where they were made.
  pool.on('error', (err) => {
    if (isDatabaseAway(err)) log.error({ err }, 'database connection failed');
  });
  return limitWaiting(pool, CONNECTION_TIMEOUT_MS);
}

/** Holds each row to the schema in `sql.type(schema)`; slonik itself only carries the schema along. */
const validateRows: Interceptor = {
  name: 'validate-rows',
  transformRow({ resultParser }, query, row) {
    const result = resultParser?.['~standard'].validate(row);
    if (result === undefined) return row;
    if (result instanceof Promise) throw new TypeError('A row schema must be synchronous.');
    if (result.issues) throw new SchemaValidationError(query, row, result.issues);
    return result.value as QueryResultRow;
  },
};

// Replaces slonik's preset, which turns a timestamptz into epoch milliseconds, an int8 into a
// BigInt (JSON.stringify throws on one) and a numeric into a lossy float.
const typeParsers: readonly DriverTypeParser[] = [
  { name: 'timestamptz', parse: (value) => new Date(value).toISOString() },
  { name: 'int8', parse: Number },
  { name: 'numeric', parse: String },
];
