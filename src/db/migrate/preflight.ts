import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';

const OLDEST_SERVER = 15;

/** Facts about the server. migrate checks them before it changes anything. */
export type ServerFacts = {
  version: number;
  encoding: string;
  standby: boolean;
  /** The id of the server process, as the connection got it at its start. */
  connectedTo: number | null;
  /** The ids of the server processes that answered two statements, one after the other. */
  answeredBy: [number, number];
  unreleased: boolean;
};

/** Throws a ReadableError when this database cannot be migrated over this connection. Changes nothing. */
export async function checkServer(client: Client): Promise<void> {
  const reason = reasonToRefuse(await readFacts(client));
  if (reason !== undefined) throw new ReadableError(reason);
}

/** The reason why migrate refuses this server, or undefined when it accepts the server. */
export function reasonToRefuse(facts: ServerFacts): string | undefined {
  const [first, second] = facts.answeredBy;
  if (facts.version < OLDEST_SERVER) {
    return `This server is Postgres ${facts.version}: migrate needs ${OLDEST_SERVER} or newer.`;
  }
  if (facts.encoding !== 'UTF8') {
    return `The encoding of this database is ${facts.encoding}: it must be UTF8 (CREATE DATABASE … ENCODING 'UTF8').`;
  }
  if (facts.standby) {
    return 'This server is a standby, which is read-only: DATABASE_URL must name the primary.';
  }
  if (first !== second || facts.connectedTo !== first) {
    return (
      'DATABASE_URL leads through a connection pooler, such as PgBouncer: migrate needs a connection to ' +
      'Postgres itself.'
    );
  }
  if (facts.unreleased) {
    return (
      'An unreleased version of the service has filled this database; it cannot be upgraded. ' +
      'Create a new database.'
    );
  }
  return undefined;
}

async function readFacts(client: Client): Promise<ServerFacts> {
  type Row = Omit<ServerFacts, 'connectedTo' | 'answeredBy'> & { pid: number };
  const row = await queryAlone<Row>(
    client,
    `SELECT current_setting('server_version_num')::integer / 10000 AS version,
      current_setting('server_encoding') AS encoding,
      pg_is_in_recovery() AS standby,
      pg_backend_pid() AS pid,
      to_regclass('public.migration_checksums') IS NOT NULL OR EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('public.migrations') AND attname = 'run_on'
      ) AS unreleased`,
  );
  const again = await queryAlone<{ pid: number }>(client, 'SELECT pg_backend_pid() AS pid');
  const { pid, ...facts } = row;
  const connectedTo = (client as { processID?: number | null }).processID ?? null;
  return { ...facts, connectedTo, answeredBy: [pid, again.pid] };
}

/** Runs a query in its own transaction, with a search_path without schema public: others may have functions there. */
async function queryAlone<R extends object>(client: Client, query: string): Promise<R> {
  await client.query('BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp');
  const { rows } = await client.query<R>(query);
  await client.query('COMMIT');
  const [row] = rows;
  if (!row) throw new Error('SELECT without FROM returned no row');
  return row;
}
