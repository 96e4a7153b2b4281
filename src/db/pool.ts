import { types } from 'pg';
import { createPool, SchemaValidationError } from 'slonik';
import type { DatabasePool, Interceptor, QueryResultRow } from 'slonik';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { createConnector } from './connection/client.ts';
import { createDatabaseDriver, type TypeParsers } from './connection/driver.ts';
import { asOutage, isDatabaseAway } from './errors.ts';
import { limitWaiting } from './waiting.ts';

/** The limit for connecting, and for waiting while all connections are in use. After it, a request gets 503. */
const CONNECTION_TIMEOUT_MS = 5_000;

const LIMITS = { statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000 };

/**
 * Opens the pool for all SQL except pg-boss's. Rejects when the database is unreachable; survives later outages.
 * The application_name of its connections begins with `name`.
 */
export async function openPool(
  config: Pick<Config, 'DATABASE_URL' | 'POOL_SIZE_MAX'>,
  log: Logger,
  name = 'oms',
): Promise<DatabasePool> {
  const connector = createConnector(config.DATABASE_URL, { name, ...LIMITS });
  const pool = await createPool(UNUSED_URL, {
    ...rowHandling,
    driverFactory: createDatabaseDriver(connector, typeParsers),
    maxPoolSize: config.POOL_SIZE_MAX,
    connectionRetryLimit: 1,
    idleTimeout: 60_000,
  });
  // slonik also emits the errors of refused statements here. The caller of the statement handles those.
  pool.on('error', (err) => {
    if (isDatabaseAway(err)) log.error({ err: asOutage(err) }, 'database connection failed');
  });
  return limitWaiting(pool, CONNECTION_TIMEOUT_MS);
}

/** Validates each row with the schema in `sql.type(schema)`. slonik itself does not use the schema. */
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
export const typeParsers: TypeParsers = {
  [types.builtins.TIMESTAMPTZ]: (value) => new Date(value).toISOString(),
  [types.builtins.INT8]: Number,
  [types.builtins.NUMERIC]: String,
};

/** createPool needs a URL, which only slonik's own driver would use. Our driver has read DATABASE_URL already. */
export const UNUSED_URL = 'postgres://';

/** Options of every slonik pool of the service: how to validate rows. */
export const rowHandling = {
  captureStackTrace: false,
  interceptors: [validateRows],
  // Replaces slonik's DISCARD ALL, a round trip after each use. It is not needed: after a connection is open, settings
  // are changed only until the end of a transaction.
  resetConnection: async () => undefined,
};
