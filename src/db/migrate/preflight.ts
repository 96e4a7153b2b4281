import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';

const OLDEST_SERVER = 15;

/** The facts about the server that migrate checks before it changes anything. */
export type ServerFacts = {
  version: number;
  encoding: string;
  standby: boolean;
  /** The server process of the connection, as the server reported at startup. */
  connectedTo: number | null;
  /** The processes that answered two statements one after the other. */
  answeredBy: [number, number];
  unreleased: boolean;
};

/** Throws a ReadableError when this database cannot be migrated over this connection. Reads only. */
export async function checkServer(client: Client): Promise<void> {
  const reason = reasonToRefuse(await askServer(client));
  if (reason !== undefined) throw new ReadableError(reason);
}

/** Why migrate refuses this server, or undefined when it does not. */
export function reasonToRefuse(facts: ServerFacts): string | undefined {
  const [first, second] = facts.answeredBy;
  if (facts.version < OLDEST_SERVER) {
    return `This server is Postgres ${facts.version}: ${OLDEST_SERVER} or newer is needed.`;
  }
  if (facts.encoding !== 'UTF8') {
    return `This database's encoding is ${facts.encoding}: it must be UTF8 (CREATE DATABASE … ENCODING 'UTF8').`;
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
      'This database was filled by an unreleased version of the service; it cannot be upgraded. ' +
      'Create a new database.'
    );
  }
  return undefined;
}

async function askServer(client: Client): Promise<ServerFacts> {
  type Row = Omit<ServerFacts, 'connectedTo' | 'answeredBy'> & { pid: number };
  const row = await askAlone<Row>(
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
  const again = await askAlone<{ pid: number }>(client, 'SELECT pg_backend_pid() AS pid');
  const { pid, ...facts } = row;
  const connectedTo = (client as { processID?: number | null }).processID ?? null;
  return { ...facts, connectedTo, answeredBy: [pid, again.pid] };
}

/** Runs a query in its own transaction, with a search_path that excludes functions of others in schema public. */
async function askAlone<R extends object>(client: Client, query: string): Promise<R> {
  await client.query('BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp');
  const { rows } = await client.query<R>(query);
  await client.query('COMMIT');
  const [row] = rows;
  if (!row) throw new Error('SELECT without FROM gave no row');
  return row;
}
