import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { Environment } from '../src/config.ts';
import { ReadableError } from '../src/process.ts';
import { armed, CRASHED, type Crash } from './arm.ts';

const RESTART_DELAY_MS = 500;
const STOP_TIMEOUT_MS = 3000;
const READY_TIMEOUT_MS = 300_000; // generous: a machine with other work starts a process in a minute
const POLL_MS = 50;

/** A process of the service that is started again whenever it ends, as an orchestrator would. */
export type KeptProcess = {
  name: string;
  /** The process ids, that of each restart included. */
  pids: number[];
  kill: () => void;
  /** Suspends the process for this time. */
  freeze: (ms: number) => Promise<void>;
  /** Replaces it by a new process that crashes by itself. Returns the time of the crash, or null after the timeout. */
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
  /** Called when the process ends after it was ready, and the run did not end it. */
  onUnexpectedEnd: (what: string) => void;
};

/** One life of a process. */
type Life = {
  child: ChildProcess;
  isReady: boolean;
  /** False as soon as the run ends it. */
  isWanted: boolean;
  lastWords: string;
};

/** The crash that the next process is started with. */
type PendingCrash = { crash?: (Crash & { reached: () => void }) | undefined };

/** Starts a module and keeps it running until `end`. */
export function keepRunning({ onUnexpectedEnd, ...options }: Options): KeptProcess {
  const pending: PendingCrash = {};
  let restart: NodeJS.Timeout | undefined;
  let crashes: Promise<number | null> = Promise.resolve(null);
  let ending = false;
  const pids: number[] = [];

  function begin(): Life {
    const life = launch(options, pending.crash, () => {
      life.isWanted = false;
      pending.crash?.reached();
      pending.crash = undefined;
    });
    pids.push(life.child.pid ?? 0);
    // Not 'exit': at 'close' its output has been read to the end.
    life.child.once('close', (code, signal) => {
      if (life.isReady && life.isWanted) {
        onUnexpectedEnd(`${options.name} ended (${signal ?? code}): ${life.lastWords}`);
      }
      if (!ending) restart = setTimeout(() => (current = begin()), RESTART_DELAY_MS);
    });
    return life;
  }

  async function ready(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(current.isReady && isAlive(current))) {
      if (Date.now() > deadline) {
        throw new ReadableError(`${options.name} does not start: ${current.lastWords}`);
      }
      await wait(POLL_MS);
    }
  }

  let current = begin();
  return {
    name: options.name,
    pids,
    kill: () => void endLife(current, 'SIGKILL'),
    freeze: (ms) => freeze(current, ms),
    // One by one: each replaces the process.
    crash: (wanted, timeoutMs) =>
      (crashes = crashes.then(() => crashAt(pending, () => current, wanted, timeoutMs))),
    ready,
    async end() {
      ending = true;
      clearTimeout(restart);
      await endLife(current, 'SIGKILL');
    },
  };
}

/** Replaces the process by one that crashes at the wanted point. See KeptProcess.crash. */
async function crashAt(
  pending: PendingCrash,
  current: () => Life,
  wanted: Crash,
  timeoutMs: number,
): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>();
  pending.crash = { ...wanted, reached: () => resolve(Date.now()) };
  await endLife(current(), 'SIGTERM');
  const timer = setTimeout(() => resolve(null), timeoutMs);
  const reachedAt = await promise;
  clearTimeout(timer);
  if (reachedAt === null) {
    pending.crash = undefined;
    await endLife(current(), 'SIGKILL'); // its successor does not crash
  }
  return reachedAt;
}

function launch(
  { module, cwd, env, logFile }: Omit<Options, 'onUnexpectedEnd'>,
  crash: Crash | undefined,
  onCrash: () => void,
): Life {
  const execArgv = crash ? ['--import', armed(crash)] : [];
  const child = fork(module, { cwd, env, execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const log = logFile ? createWriteStream(logFile, { flags: 'a' }) : null;
  if (log) child.stdout?.pipe(log);
  else child.stdout?.resume();
  const life = { child, isReady: false, isWanted: true, lastWords: '' };
  child.once('message', () => (life.isReady = true));
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      life.lastWords = line;
      if (line.startsWith(CRASHED)) onCrash();
    });
  }
  return life;
}

async function freeze({ child }: Life, ms: number): Promise<void> {
  child.kill('SIGSTOP');
  await wait(ms);
  child.kill('SIGCONT'); // no effect if it was killed meanwhile
}

function isAlive({ child }: Life): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function endLife(life: Life, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  life.isWanted = false;
  if (!isAlive(life)) return;
  const exited = once(life.child, 'exit');
  life.child.kill(signal);
  const timer = setTimeout(() => life.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
