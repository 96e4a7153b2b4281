/*
 * Finds a route to the database as libpq does: tries the hosts in their order, and each with TLS and without, as
 * sslmode says. pg itself knows one host, and either TLS or none.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import type { Host, Target } from './target.ts';
import { tlsAttempts } from './tls.ts';

/** A way to connect: a host, with TLS or without, and whether a connection pooler answers there. */
export type Route = Host & { tls: boolean; pooled: boolean };

/** Tries a route. Resolves to the route, with `pooled` as it was found. */
type Attempt = (route: Route) => Promise<Route>;

/** Returns the first route that works. Throws the only error, or one error that names each host and its problem. */
export async function findRoute(target: Target, attempt: Attempt): Promise<Route> {
  const failures: string[] = [];
  let last: unknown;
  for (const host of await candidates(target)) {
    try {
      return await tryHost(target, host, attempt);
    } catch (error) {
      if (endsTheSearch(error)) throw error;
      last = error;
      failures.push(`${host.address ?? host.host}:${host.port}: ${textOf(error)}`);
    }
  }
  if (failures.length < 2) throw last;
  throw new ReadableError(`No host of DATABASE_URL can be used: ${failures.join('; ')}`, {
    cause: last,
  });
}

async function tryHost(target: Target, host: Host, attempt: Attempt): Promise<Route> {
  let last: unknown;
  for (const tls of tlsAttempts(target, host)) {
    try {
      return await tryPooled({ ...host, tls, pooled: false }, attempt);
    } catch (error) {
      if (error instanceof ReadableError || isUnreachable(error)) throw error;
      last = error;
    }
  }
  throw last;
}

/** When PgBouncer refuses the settings in the startup message, tries again with only those that it accepts. */
async function tryPooled(route: Route, attempt: Attempt): Promise<Route> {
  try {
    return await attempt(route);
  } catch (error) {
    const isRefused = sqlStateOf(error) === '08P01' && textOf(error).includes('startup parameter');
    if (!isRefused) throw error;
    return attempt({ ...route, pooled: true });
  }
}

/**
 * The hosts in the order to try. When the server must accept writes, a name with several addresses counts as several
 * hosts. Otherwise pg looks up the name.
 */
async function candidates({ hosts, mustWrite, shuffle }: Target): Promise<Host[]> {
  const found: Host[] = [];
  for (const host of hosts) {
    const isName = !host.address && !host.host.startsWith('/') && isIP(host.host) === 0;
    const addresses = isName && mustWrite ? await lookUp(host.host) : [];
    if (addresses.length < 2) found.push(host);
    else for (const address of addresses) found.push({ ...host, address });
  }
  return shuffle ? found.toSorted(() => Math.random() - 0.5) : found;
}

/** The addresses of a name. None when the lookup fails: the attempt to connect then fails for the same reason. */
async function lookUp(name: string): Promise<string[]> {
  const all = await lookup(name, { all: true }).catch(() => []);
  return all.map(({ address }) => address);
}

/** Whether the next host would fail in the same way: a refused login, a missing database, or a session we refuse. */
function endsTheSearch(error: unknown): boolean {
  const hasNoCause = error instanceof ReadableError && error.cause === undefined;
  return hasNoCause || /^(28|3D)/.test(sqlStateOf(error) ?? '');
}

function isUnreachable(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^E(CONN|HOST|NET|TIMEDOUT|AI_|NOTFOUND|NOENT)/.test(code);
}

function textOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return (message || code || String(error)).replace(/\s+/g, ' ');
}
