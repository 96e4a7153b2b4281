import { fork } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import type { Environment } from '../src/config/load.ts';
import { endChild, isRunning, whenReady } from '../src/local/child-process.ts';
import { freePort } from '../src/local/free-port.ts';
import { explain, ReadableError } from '../src/process.ts';
import { costOf, rssMbOf, type Cost } from './cost.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** The Node flags of the service, as `npm run api` uses them. */
export const SERVICE_FLAGS = packageJson.config.heap.split(' ');

// A process under test ends with the bench, even if the bench is killed.
const END_WITH_BENCH = `data:text/javascript,process.on('disconnect',()=>process.exit())`;

/** A process under test. */
export type Process = {
  name: string;
  pid: number;
  /** http://127.0.0.1:PORT, with the port in its environment. */
  origin: string;
  rssMb: () => number;
  stop: () => Promise<void>;
  /** Kills it by SIGKILL, and resolves when it has ended. */
  kill: () => Promise<void>;
};

/** How to start a process. */
type Command = {
  name: string;
  /** From the top of the repository: 'bench/peers/bullmq-api.ts'. */
  module: string;
  env: Environment;
  nodeFlags: string[];
  /** Where it runs: a folder without a .env. */
  cwd: string;
  /** Its output goes to this file. */
  logFile: string;
  /** Called with its cost so far, before it is stopped or killed. */
  onEnd: (cost: Cost) => void;
};

/** Starts a module with a free port in PORT, and waits until it reports over IPC that it is ready. */
export async function startProcess(command: Command): Promise<Process> {
  const { name, module, env, nodeFlags, cwd, logFile } = command;
  const port = await freePort();
  const log = openSync(logFile, 'a');
  const child = fork(fileURLToPath(new URL(`../${module}`, import.meta.url)), {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, PORT: String(port), ...env },
    execArgv: [...nodeFlags, '--import', END_WITH_BENCH],
    stdio: ['ignore', log, log, 'ipc'],
    detached: true, // Ctrl-C reaches only the bench, which then stops its processes in order
  });
  closeSync(log);
  await whenReady(child, `${name} (${module})`, START_TIMEOUT_MS).catch((cause: unknown) => {
    const lastLines = readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join('\n');
    throw new ReadableError(`${explain(cause)}:\n${lastLines}`, { cause });
  });
  const pid = child.pid ?? 0;
  async function stop(): Promise<void> {
    if (!isRunning(child)) return;
    command.onEnd(costOf(pid));
    await endChild(child, 'SIGTERM', STOP_TIMEOUT_MS);
  }
  async function kill(): Promise<void> {
    command.onEnd(costOf(pid));
    await endChild(child, 'SIGKILL', STOP_TIMEOUT_MS);
  }
  return {
    name,
    pid,
    origin: `http://127.0.0.1:${port}`,
    rssMb: () => rssMbOf(pid),
    stop,
    kill,
  };
}
