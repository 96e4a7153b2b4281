import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../process.ts';
import { isRunning, keepRunning, printRestarts } from './child-process.ts';
import { freePort } from './free-port.ts';
import {
  endingWithParent,
  startServer,
  STOP_TIMEOUT_MS,
  type ServerProcess,
} from './server-process.ts';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** A running Redis and its address. */
export type EmbeddedRedis = ServerProcess & { url: string; port: number };

/** Looks on the PATH for redis-server, then for valkey-server. */
export function findRedis(): string | undefined {
  return ['redis-server', 'valkey-server'].find(
    (program) => spawnSync(program, ['--version']).status === 0,
  );
}

/** Starts Redis on the loopback interface. It keeps no data on disk: wake-ups and rate limits may be lost. */
export async function startRedis(
  program: string,
  dir: string,
  port?: number,
): Promise<EmbeddedRedis> {
  const chosen = port ?? (await freePort());
  const server = launch(program, dir, chosen);
  await waitUntilListening(server, chosen);
  return { ...server, port: chosen, url: `redis://127.0.0.1:${chosen}` };
}

/** Starts Redis, and restarts it on the same port, without data, when it ends. Prints one line for each restart. */
export async function keepRedis(
  program: string,
  dir: string,
  print: (line: string) => void,
): Promise<Pick<EmbeddedRedis, 'url' | 'stop'>> {
  const { child, port, url } = await startRedis(program, dir);
  const restart = () => launch(program, dir, port).child;
  const kept = keepRunning(child, restart, printRestarts('Redis', print));
  return { url, stop: () => kept.end('SIGTERM', STOP_TIMEOUT_MS) };
}

function launch(program: string, dir: string, port: number): ServerProcess {
  const address = ['--bind', '127.0.0.1', '--port', String(port)];
  const withoutDisk = ['--save', '', '--appendonly', 'no', '--dir', dir];
  const command = [...endingWithParent('TERM'), program, ...address, ...withoutDisk];
  const [first = program, ...args] = command;
  const logFd = openSync(join(dir, 'redis.log'), 'a');
  const server = startServer([first, ...args], { logFd, stopSignal: 'SIGTERM' });
  closeSync(logFd);
  return server;
}

async function waitUntilListening({ child, stop }: ServerProcess, port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (!isRunning(child) || Date.now() > deadline) {
      await stop();
      throw new ReadableError(`Redis did not start on port ${port}`);
    }
    await setTimeout(POLL_MS);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
