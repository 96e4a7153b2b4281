import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { ReadableError } from '../../src/process.ts';
import { launchAs, postgresAccount } from '../../src/local/account.ts';
import { isRunning } from '../../src/local/child-process.ts';
import { freePort } from '../../src/local/free-port.ts';
import { startServer, type ServerProcess } from '../../src/local/server-process.ts';
import { requireProgram } from '../programs.ts';

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** The connect_query of docs/operations.md. */
const CONNECT_QUERY = 'SET statement_timeout=10000; SET idle_in_transaction_session_timeout=10000';

/** A running PgBouncer in front of a database. */
export type PgBouncer = {
  version: string;
  /** The URL of a login. Database `orders` has the connect_query, `bare` has none. */
  url: (login: string, database?: 'orders' | 'bare') => string;
  restart: () => Promise<void>;
  stop: () => Promise<void>;
};

/** Starts PgBouncer in transaction mode, with the configuration that docs/operations.md shows. */
export async function startPgBouncer(
  dir: string,
  postgresUrl: string,
  passwords: Record<string, string>,
): Promise<PgBouncer> {
  const program = requireProgram('pgbouncer');
  const folder = join(dir, 'pgbouncer');
  mkdirSync(folder);
  for (const path of [dir, folder]) chmodSync(path, 0o755); // PgBouncer does not run as root
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(file, configuration(postgresUrl, port, join(folder, 'users.txt')));
  const users = Object.entries(passwords).map((pair) => pair.map((part) => `"${part}"`).join(' '));
  writeFileSync(join(folder, 'users.txt'), `${users.join('\n')}\n`);

  const url = (login: string, database = 'orders') =>
    `postgres://${login}:${passwords[login]}@127.0.0.1:${port}/${database}`;
  const logFile = join(folder, 'log');
  const start = async () => {
    const server = launch(program, file, logFile);
    await untilConnected(url('oms_api', 'bare'), server, logFile);
    return server;
  };
  let server = await start();
  return {
    version: versionOf(program),
    url,
    async restart() {
      await server.stop();
      server = await start();
    },
    stop: () => server.stop(),
  };
}

function configuration(postgresUrl: string, port: number, usersFile: string): string {
  const { hostname, port: postgresPort, pathname } = new URL(postgresUrl);
  const server = `host=${hostname} port=${postgresPort} dbname=${pathname.slice(1)}`;
  return `
[databases]
orders = ${server} connect_query='${CONNECT_QUERY}'
bare = ${server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${usersFile}
pool_mode = transaction
default_pool_size = 10
max_client_conn = 500
`;
}

function launch(program: string, file: string, logFile: string): ServerProcess {
  const { command, as } = launchAs(postgresAccount(), program, [file]);
  const logFd = openSync(logFile, 'a');
  const server = startServer(command, { logFd, stopSignal: 'SIGTERM', as });
  closeSync(logFd);
  return server;
}

async function untilConnected(url: string, { child, stop }: ServerProcess, logFile: string) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = new Client(url);
    client.on('error', () => undefined);
    try {
      await client.connect();
      return;
    } catch (cause) {
      if (!isRunning(child) || Date.now() > deadline) {
        await stop();
        const log = readFileSync(logFile, 'utf8').trim().split('\n').slice(-3).join(' ');
        throw new ReadableError(`PgBouncer does not connect: ${log}`, { cause });
      }
      await setTimeout(POLL_MS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

function versionOf(program: string): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return /PgBouncer ([\d.]+)/.exec(stdout)?.[1] ?? 'of an unknown version';
}
