/*
 * Where a process connects, and as whom: the parameters of DATABASE_URL, with defaults that are mostly libpq's.
 */
import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { PG_VARIABLES } from './keywords.ts';
import { DatabaseUrlError, formatUrl, parseUrl, type Parameters } from './url.ts';

/** One host of the list. `host` is a name, an address, or the directory of a socket. `address` replaces a lookup. */
export type Host = { host: string; port: number; address?: string | undefined };

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

export type Target = {
  hosts: Host[];
  user: string;
  database: string;
  password?: string | undefined;
  passfile: string;
  options?: string | undefined;
  applicationName?: string | undefined;
  connectTimeoutMs: number;
  /** Only a server that accepts writes is used. */
  mustWrite: boolean;
  /** The hosts are tried in random order. */
  shuffle: boolean;
  sslMode: (typeof SSL_MODES)[number];
  sslNegotiation: 'postgres' | 'direct';
  tlsFiles: { ca: string; cert?: string | undefined; key?: string | undefined };
  tlsPassword?: string | undefined;
  tlsVersions: { min?: string | undefined; max?: string | undefined };
};

const DEFAULT_PORT = '5432';
const CONNECT_TIMEOUT_MS = 5_000;
const SHORTEST_CONNECT_TIMEOUT_MS = 2_000; // as in libpq
/** Where servers have their socket: in packages of Debian, and by the default of Postgres. */
const SOCKET_FOLDERS = ['/var/run/postgresql', '/tmp'];

/**
 * Adds to a URL the parameters that it leaves out and that the variables of libpq have, such as PGPORT. Throws a
 * DatabaseUrlError when the URL cannot be used, alone or together with the variables.
 */
export function completeUrl(url: string, env: Record<string, string | undefined>): string {
  const given = parseUrl(url);
  const defaults: Parameters = {};
  for (const [variable, keyword] of Object.entries(PG_VARIABLES)) {
    const value = env[variable];
    if (value !== undefined && value !== '' && given[keyword] === undefined)
      defaults[keyword] = value;
  }
  // A list in PGPORT belongs to the hosts in PGHOST, not to those of the URL.
  if (given.host !== undefined && defaults.port?.includes(',')) delete defaults.port;
  const complete = formatUrl({ ...defaults, ...given });
  readTarget(complete);
  return complete;
}

/** Reads a complete URL. Throws a DatabaseUrlError when it cannot be used. */
export function readTarget(url: string): Target {
  const given = parseUrl(url);
  const user = given.user ?? accountName();
  const hosts = hostsOf(given);
  const sslMode = sslModeOf(given);
  const direct = given.sslnegotiation === 'direct';
  if (direct && !/^(require|verify)/.test(sslMode)) {
    throw new DatabaseUrlError(
      'has sslnegotiation=direct, which needs sslmode=require or stronger',
    );
  }
  return {
    hosts,
    user,
    database: given.dbname ?? user,
    password: given.password,
    passfile: given.passfile ?? join(homedir(), '.pgpass'),
    options: given.options,
    applicationName: given.application_name ?? given.fallback_application_name,
    connectTimeoutMs: connectTimeoutOf(given),
    // Unlike in libpq, several hosts without target_session_attrs mean read-write: a standby is of no use here.
    mustWrite: given.target_session_attrs ? given.target_session_attrs !== 'any' : hosts.length > 1,
    shuffle: given.load_balance_hosts === 'random',
    sslMode,
    sslNegotiation: direct ? 'direct' : 'postgres',
    tlsFiles: tlsFilesOf(given),
    tlsPassword: given.sslpassword,
    tlsVersions: { min: given.ssl_min_protocol_version, max: given.ssl_max_protocol_version },
  };
}

function hostsOf({ host, hostaddr, port = DEFAULT_PORT }: Parameters): Host[] {
  const ports = port.split(',').map((text) => Number(text || DEFAULT_PORT));
  if (ports.some((number) => number < 1 || number > 65_535)) {
    throw new DatabaseUrlError('has a port that is not between 1 and 65535');
  }
  const names = (host ?? hostaddr ?? '').split(',');
  const addresses = hostaddr?.split(',') ?? [];
  if (addresses.length > 0 && addresses.length !== names.length) {
    throw new DatabaseUrlError('has a different number of addresses (hostaddr) than of hosts');
  }
  if (ports.length > 1 && ports.length !== names.length) {
    throw new DatabaseUrlError('has a different number of ports than of hosts');
  }
  return names.map((name, i) => {
    const number = ports[i] ?? ports[0] ?? Number(DEFAULT_PORT);
    return { host: name || defaultHost(number), port: number, address: addresses[i] || undefined };
  });
}

function defaultHost(port: number): string {
  const folder = SOCKET_FOLDERS.find((path) => existsSync(join(path, `.s.PGSQL.${port}`)));
  return folder ?? 'localhost';
}

function sslModeOf({ sslmode, sslrootcert }: Parameters): Target['sslMode'] {
  const isSystem = sslrootcert === 'system';
  if (isSystem && sslmode !== undefined && sslmode !== 'verify-full') {
    throw new DatabaseUrlError('has sslrootcert=system, which needs sslmode=verify-full');
  }
  const fallback = isSystem ? 'verify-full' : 'prefer';
  return SSL_MODES.find((mode) => mode === sslmode) ?? fallback;
}

function tlsFilesOf({ sslrootcert, sslcert, sslkey }: Parameters): Target['tlsFiles'] {
  const folder = join(homedir(), '.postgresql');
  const existing = (name: string) =>
    existsSync(join(folder, name)) ? join(folder, name) : undefined;
  return {
    ca: sslrootcert ?? join(folder, 'root.crt'),
    cert: sslcert ?? existing('postgresql.crt'),
    key: sslkey ?? existing('postgresql.key'),
  };
}

function connectTimeoutOf({ connect_timeout }: Parameters): number {
  const ms = Number(connect_timeout ?? 0) * 1000;
  return ms <= 0 ? CONNECT_TIMEOUT_MS : Math.max(ms, SHORTEST_CONNECT_TIMEOUT_MS);
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    throw new DatabaseUrlError('names no user, and the account of this process has no name');
  }
}
