/*
 * A kept process is a process of the service that is started again whenever it ends, as an orchestrator does. Unlike
 * the process keeper of `npm start` (src/local/process-keeper.ts), it can kill, freeze and crash its process on demand.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { Environment } from '../src/config/load.ts';
import { describeEnd, endChild, isRunning, keepRunning } from '../src/local/child-process.ts';
import { ReadableError } from '../src/process.ts';
import { armed, CRASHED, type Crash } from './arm.ts';

const RESTART_DELAY_MS = { min: 500, max: 500 };
const STOP_TIMEOUT_MS = 3000;
const READY_TIMEOUT_MS = 300_000; // generous: a machine with other work starts a process in a minute
const POLL_MS = 50;

export type KeptProcess = {
  name: string;
  /** The process ids of all instances so far. */
  pids: number[];
  kill: () => void;
  /** Suspends the process for this time. */
  freeze: (ms: number) => Promise<void>;
  /** Replaces the process by one that crashes by itself. Returns the time of the crash, or null after the timeout. */
  crash: (crash: Crash, timeoutMs: number) => Promise<number | null>;
  /** Resolves as soon as the process is ready. Rejects when it is not ready within five minutes. */
  ready: () => Promise<void>;
  end: () => Promise<void>;
};

type Options = {
  name: string;
  module: URL;
  cwd: string;
  env: Environment;
  /** Its log goes to this file. */
  logFile: string | undefined;
  /** Called when the process ends after it was ready, although the run did not end it. */
  onUnexpectedEnd: (what: string) => void;
};

/** One instance of the process. Each restart makes a new one. */
type Instance = {
  child: ChildProcess;
  isReady: boolean;
  /** True as soon as the run ends it, or it reaches its crash point. */
  mayEnd: boolean;
  /** The last line on its stderr. */
  lastLine: string;
};

/** The crash that the next instance is started with. */
type PendingCrash = { crash?: (Crash & { reached: () => void }) | undefined };

/** Starts a module and keeps it running until `end`. */
export function keepProcess({ onUnexpectedEnd, ...options }: Options): KeptProcess {
  const pending: PendingCrash = {};
  const instances = new Map<ChildProcess, Instance>();
  const pids: number[] = [];

  function start(): ChildProcess {
    const instance = launch(options, pending.crash, () => {
      instance.mayEnd = true;
      pending.crash?.reached();
      pending.crash = undefined;
    });
    instances.set(instance.child, instance);
    pids.push(instance.child.pid ?? 0);
    return instance.child;
  }

  function onEnd(child: ChildProcess): void {
    const { isReady, mayEnd, lastLine } = instanceOf(child);
    if (!isReady || mayEnd) return;
    onUnexpectedEnd(`${options.name} ended (${describeEnd(child)}): ${lastLine}`);
  }

  const kept = keepRunning(start(), start, { delayMs: RESTART_DELAY_MS, onEnd });
  const instanceOf = (child: ChildProcess) => instances.get(child) as Instance;
  const current = () => instanceOf(kept.current());
  let crashes: Promise<number | null> = Promise.resolve(null);

  async function ready(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(current().isReady && isRunning(current().child))) {
      if (Date.now() > deadline) {
        throw new ReadableError(`${options.name} does not start: ${current().lastLine}`);
      }
      await wait(POLL_MS);
    }
  }

  return {
    name: options.name,
    pids,
    kill: () => void end(current(), 'SIGKILL'),
    freeze: (ms) => freeze(current(), ms),
    // One after the other, because each replaces the process.
    crash: (crash, timeoutMs) =>
      (crashes = crashes.then(() => crashAt(pending, current, crash, timeoutMs))),
    ready,
    async end() {
      current().mayEnd = true;
      await kept.end('SIGKILL', STOP_TIMEOUT_MS);
    },
  };
}

/** Replaces the process by one that crashes at a point. See KeptProcess.crash. */
async function crashAt(
  pending: PendingCrash,
  current: () => Instance,
  crash: Crash,
  timeoutMs: number,
): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>();
  pending.crash = { ...crash, reached: () => resolve(Date.now()) };
  await end(current(), 'SIGTERM');
  const timer = setTimeout(() => resolve(null), timeoutMs);
  const reachedAt = await promise;
  clearTimeout(timer);
  if (reachedAt === null) {
    pending.crash = undefined;
    await end(current(), 'SIGKILL'); // the next instance has no armed crash point
  }
  return reachedAt;
}

function launch(
  { module, cwd, env, logFile }: Omit<Options, 'onUnexpectedEnd'>,
  crash: Crash | undefined,
  onCrash: () => void,
): Instance {
  const execArgv = crash ? ['--import', armed(crash)] : [];
  const child = fork(module, { cwd, env, execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const log = logFile ? createWriteStream(logFile, { flags: 'a' }) : null;
  if (log) child.stdout?.pipe(log);
  else child.stdout?.resume();
  const instance = { child, isReady: false, mayEnd: false, lastLine: '' };
  child.once('message', () => (instance.isReady = true));
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      instance.lastLine = line;
      if (line.startsWith(CRASHED)) onCrash();
    });
  }
  return instance;
}

async function freeze({ child }: Instance, ms: number): Promise<void> {
  child.kill('SIGSTOP');
  await wait(ms);
  child.kill('SIGCONT'); // no effect if it was killed meanwhile
}

async function end(instance: Instance, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  instance.mayEnd = true;
  await endChild(instance.child, signal, STOP_TIMEOUT_MS);
}
