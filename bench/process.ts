import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import type { Environment } from '../src/config.ts';
import { endChild } from '../src/local/child-process.ts';
import { freePort } from '../src/local/free-port.ts';
import { ReadableError } from '../src/process.ts';
import { costOf, rssMbOf, type Cost } from './cost.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** The flags of Node that our own service is started with, as `npm run api` does. */
export const SERVICE_FLAGS = packageJson.config.heap.split(' ');

// A process under test never outlives the bench, even when that is killed.
const ENDING_WITH_US = `data:text/javascript,process.on('disconnect',()=>process.exit())`;

/** A process under test. */
export type Process = {
  name: string;
  pid: number;
  /** http://127.0.0.1:PORT; the port it was given as PORT, or the one it has told of. */
  origin: string;
  cpuSeconds: () => number;
  rssMb: () => number;
  stop: () => Promise<void>;
  /** Ends it at once, by SIGKILL, and resolves when it has ended. */
  kill: () => Promise<void>;
};

/** What `startProcess` needs to know. */
export type Command = {
  name: string;
  /** From the top of the repository: 'bench/peers/bullmq-api.ts'. */
  module: string;
  env: Environment;
  args: string[];
  nodeFlags: string[];
  /** Where it runs: a folder without a .env. */
  cwd: string;
  /** Its output goes there: nobody has to read it. */
  logFile: string;
  /** Told what it has cost by the time that it is told to stop. */
  onEnd: (cost: Cost) => void;
};

/**
 * Starts a module on a free port, which it finds in PORT, and waits until it says over IPC that it is
 * ready: 'ready', or { port } when it listens elsewhere.
 */
export async function startProcess(command: Command): Promise<Process> {
  const { name, module, env, args, nodeFlags, cwd, logFile } = command;
  const port = await freePort();
  const log = openSync(logFile, 'a');
  const child = fork(fileURLToPath(new URL(`../${module}`, import.meta.url)), args, {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, PORT: String(port), ...env },
    execArgv: [...nodeFlags, '--import', ENDING_WITH_US],
    stdio: ['ignore', log, log, 'ipc'],
    detached: true, // Ctrl-C reaches only the bench, which then stops everything in order
  });
  closeSync(log);
  const exited = once(child, 'exit');
  const said = await firstMessage(child);
  if (said === undefined) {
    child.kill('SIGKILL');
    const lastWords = readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join('\n');
    throw new ReadableError(`${name} (${module}) does not start:\n${lastWords}`);
  }
  const pid = child.pid ?? 0;
  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    command.onEnd(costOf(pid));
    await endChild(child, 'SIGTERM', STOP_TIMEOUT_MS);
  }
  async function kill(): Promise<void> {
    command.onEnd(costOf(pid));
    child.kill('SIGKILL');
    await exited;
  }
  return {
    name,
    pid,
    origin: `http://127.0.0.1:${portIn(said) ?? port}`,
    cpuSeconds: () => costOf(pid).cpuSeconds,
    rssMb: () => rssMbOf(pid),
    stop,
    kill,
  };
}

/** Undefined when it ends, or stays silent for too long. */
function firstMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, START_TIMEOUT_MS);
    const settle = (message?: unknown) => {
      clearTimeout(timer);
      resolve(message);
    };
    child.once('message', settle);
    child.once('exit', () => settle());
  });
}

function portIn(message: unknown): number | undefined {
  return typeof message === 'object' && message !== null && 'port' in message
    ? Number(message.port)
    : undefined;
}
