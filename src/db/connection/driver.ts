import { types as pgTypes, type DatabaseError, type QueryResult } from 'pg';
import {
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  CheckExclusionConstraintViolationError,
  CheckIntegrityConstraintViolationError,
  createDriverFactory,
  ForeignKeyIntegrityConstraintViolationError,
  IdleTransactionTimeoutError,
  InvalidInputError,
  NotNullIntegrityConstraintViolationError,
  StatementTimeoutError,
  UniqueIntegrityConstraintViolationError,
  type DriverCommand,
  type DriverFactory,
  type DriverQueryResult,
} from 'slonik';
import { DatabaseClient, ensureRoute, type Connector } from './client.ts';

/** By the id of a type: a function that parses the text of its values. */
export type TypeParsers = Readonly<Record<number, (value: string) => unknown>>;

/**
 * Creates the driver of a slonik pool. slonik's own driver would read DATABASE_URL in another way than migrate and the
 * queue do, and knows neither a file of CAs nor several hosts.
 */
export function createDatabaseDriver(connector: Connector, parsers: TypeParsers): DriverFactory {
  const getTypeParser = ((id: number, format?: 'text' | 'binary') =>
    parsers[id] ?? pgTypes.getTypeParser(id, format)) as typeof pgTypes.getTypeParser;
  return createDriverFactory(async () => {
    await ensureRoute(connector); // rejects at once when the database is unreachable
    return {
      async createPoolClient({ clientEventEmitter }) {
        const client = new DatabaseClient({ connector, types: { getTypeParser } });
        client.on('error', (error) => clientEventEmitter.emit('error', wrapError(error)));
        return {
          connect: async () => void (await client.connect()),
          end: () => client.end(),
          query: (text, values, options) => runQuery(client, { text, values, ...options }),
          stream: () => {
            throw new Error('This driver has no streams: read lists with a LIMIT');
          },
        };
      },
    };
  });
}

async function runQuery(
  client: DatabaseClient,
  statement: { text: string; values?: unknown[] | undefined; name?: string },
): Promise<DriverQueryResult> {
  const result = (await client.query(statement).catch((error: Error) => {
    throw wrapError(error);
  })) as QueryResult;
  if (Array.isArray(result)) throw new InvalidInputError('only one statement per query');
  return {
    command: result.command as DriverCommand,
    fields: result.fields.map(({ dataTypeID, name }) => ({ dataTypeId: dataTypeID, name })),
    rowCount: result.rowCount,
    rows: result.rows,
  };
}

type Wrapper = new (error: Error) => Error;

/** slonik's class for each SQLSTATE that has one. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  '25P03': IdleTransactionTimeoutError,
  '57P01': BackendTerminatedError,
  // A timeout or a cancellation. Only the text of the message tells which, and lc_messages translates it.
  '57014': StatementTimeoutError,
  '23502': NotNullIntegrityConstraintViolationError,
  '23503': ForeignKeyIntegrityConstraintViolationError,
  '23505': UniqueIntegrityConstraintViolationError,
  '23P01': CheckExclusionConstraintViolationError,
  '23514': CheckIntegrityConstraintViolationError,
};

function wrapError(error: Error): Error {
  const { code = '' } = error as DatabaseError;
  if (error.message === 'Connection terminated unexpectedly') {
    return new BackendTerminatedUnexpectedlyError(error);
  }
  if (error.message.startsWith('Connection terminated')) return new BackendTerminatedError(error);
  if (code === '22P02') return new InvalidInputError(error.message);
  const Wrap = WRAPPERS[code];
  return Wrap ? new Wrap(error) : error;
}
