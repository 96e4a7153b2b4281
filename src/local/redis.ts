import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../process.ts';
import { dyingWithUs, freePort, startServer, type ServerProcess } from './server-process.ts';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** A running Redis: where it answers, and how to stop it. */
export type EmbeddedRedis = ServerProcess & { url: string; port: number };

/** The first of redis-server and valkey-server on the PATH, if any. */
export function findRedis(): string | undefined {
  return ['redis-server', 'valkey-server'].find(
    (program) => spawnSync(program, ['--version']).status === 0,
  );
}

/** Starts Redis on the loopback interface, keeping nothing on disk: what it holds is only wakeUps. */
export async function startRedis(
  program: string,
  dir: string,
  port?: number,
): Promise<EmbeddedRedis> {
  const chosen = port ?? (await freePort());
  const logFd = openSync(join(dir, 'redis.log'), 'a');
  const args = [
    '--bind',
    '127.0.0.1',
    '--port',
    String(chosen),
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    dir,
  ];
  const [wrapper = program, ...rest] = [...dyingWithUs('TERM'), program, ...args];
  const server = startServer([wrapper, ...rest], { logFd, stopSignal: 'SIGTERM' });
  closeSync(logFd);
  await waitUntilListening(chosen);
  return { ...server, port: chosen, url: `redis://127.0.0.1:${chosen}` };
}

async function waitUntilListening(port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (Date.now() > deadline) throw new ReadableError(`redis did not start on port ${port}`);
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
