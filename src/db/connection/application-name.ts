import { hostname } from 'node:os';

/** Postgres cuts a longer name. */
const LENGTH_MAX = 63;

/**
 * The application_name of a connection, such as `oms-worker shop-7:4711`: a kind, a host and a process id. Behind a
 * proxy or in a container, the address in pg_stat_activity does not tell which process has a connection.
 */
export function applicationName(kind: string): string {
  const pid = `:${process.pid}`;
  const host = hostname().replace(/[^\x21-\x7e]/g, '?');
  return `${kind} ${host}`.slice(0, LENGTH_MAX - pid.length) + pid;
}
