import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { inheritedEnvironment } from '../config.ts';
import { listen } from '../http/server.ts';
import { ReadableError } from '../process.ts';

const STOP_TIMEOUT_MS = 15_000;

/** A command and its arguments. */
export type Command = readonly [string, ...string[]];

/** A server that we started, and must stop. */
export type ServerProcess = {
  child: ChildProcess;
  stop: () => Promise<void>;
  /** Calls back when it ends without having been told to. */
  onCrash: (crashed: () => void) => void;
};

type StartOptions = {
  /** An open file, for its output. */
  logFd: number;
  stopSignal: NodeJS.Signals;
  /** Ours, unless given. */
  cwd?: string;
  /** As ourselves, unless given. */
  as?: { uid: number; gid: number } | undefined;
};

/**
 * Starts a server in a process group of its own, so that Ctrl-C reaches only us and the order of
 * stopping is ours. Its output goes to an open file. Where the system can, it also dies with us.
 */
export function startServer(
  [program, ...args]: Command,
  { logFd, stopSignal, cwd, as }: StartOptions,
): ServerProcess {
  const child = spawn(program, args, {
    ...as,
    ...(cwd !== undefined && { cwd }),
    env: inheritedEnvironment(),
    detached: true,
    stdio: ['ignore', logFd, logFd],
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  let stopping = false;
  async function stop(): Promise<void> {
    stopping = true;
    await endChild(child, exited, stopSignal, STOP_TIMEOUT_MS);
  }
  function onCrash(crashed: () => void): void {
    void exited.then(() => stopping || crashed());
  }
  return { child, stop, onCrash };
}

/** Asks a process to end, and makes it when it has not within the timeout. */
export async function endChild(
  child: ChildProcess,
  exited: Promise<unknown>,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<void> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await exited;
  clearTimeout(timer);
}

/** util-linux; there on every Debian, Ubuntu and Fedora, and not on macOS. */
export const hasSetpriv = spawnSync('setpriv', ['--version']).status === 0;

/** Prefix that ends a server when the process that started it is gone, even by SIGKILL. */
export function dyingWithUs(signal: 'INT' | 'TERM'): string[] {
  return hasSetpriv ? ['setpriv', '--pdeathsig', signal, '--'] : [];
}

/**
 * The range in which to look for a free port. The system assigns ports from 32768 on to outgoing connections, so a free
 * one may be taken at any moment.
 */
const PORTS = { from: 20_000, to: 32_000 };
const TRIES = 20;

/** A port of the loopback interface that is free now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
  throw new ReadableError(`No port is free between ${PORTS.from} and ${PORTS.to}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port, '127.0.0.1');
  } catch {
    return false;
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return true;
}
