import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Environment } from '../config.ts';
import { endChild } from './server-process.ts';

const RESTART_DELAY_MS_MIN = 500;
const RESTART_DELAY_MS_MAX = 10_000;
const STEADY_MS = 30_000; // a child that lived this long starts over with the shortest delay

type Program = { name: string; module: URL; env: Environment };

/** How long a child may take to report ready, and to end after SIGTERM, before it is killed. */
export type Patience = { readyMs: number; stopMs: number };

/** Keeps child processes of this service running until `stop`. */
export type Supervisor = {
  /** Starts a module, and resolves once it reports ready. Rejects when it ends before, or takes too long. */
  start: (name: string, module: URL, env: Environment) => Promise<void>;
  stop: () => Promise<void>;
};

/**
 * Children write their log to `output`, and get SIGTERM at the end. One that dies after it
 * was ready is started again.
 */
export function createSupervisor(
  output: NodeJS.WritableStream,
  say: (line: string) => void,
  patience: Patience,
): Supervisor {
  const children = new Set<ChildProcess>();
  const restarts = new Set<NodeJS.Timeout>();
  let stopping = false;

  function launch({ name, module, env }: Program, delayMs = RESTART_DELAY_MS_MIN): ChildProcess {
    const started = Date.now();
    const child = fork(module, {
      env,
      detached: true, // Ctrl-C reaches us alone, and we stop them in order
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child.stdout?.pipe(output, { end: false });
    killUnlessReady(child, patience.readyMs);
    children.add(child);
    child.once('exit', (code, signal) => {
      children.delete(child);
      if (stopping) return;
      const wait = Date.now() - started > STEADY_MS ? RESTART_DELAY_MS_MIN : delayMs;
      say(`${name} ended (${signal ?? `exit code ${code}`}); starting it again in ${wait} ms`);
      const timer = setTimeout(() => {
        restarts.delete(timer);
        launch({ name, module, env }, Math.min(wait * 2, RESTART_DELAY_MS_MAX));
      }, wait);
      restarts.add(timer);
    });
    return child;
  }

  async function start(name: string, module: URL, env: Environment): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const child = launch({ name, module, env });
    const fail = (code: number | null, signal: string | null) => {
      stopping = true; // it never worked: do not try again and again
      ready.reject(new Error(`${name} did not start (${signal ?? `exit code ${code}`})`));
    };
    child.prependOnceListener('exit', fail);
    child.once('message', () => {
      child.off('exit', fail);
      ready.resolve();
    });
    await ready.promise;
  }

  async function stop(): Promise<void> {
    stopping = true;
    for (const timer of restarts) clearTimeout(timer);
    await Promise.all(Array.from(children, (child) => end(child, patience.stopMs)));
  }

  return { start, stop };
}

function killUnlessReady(child: ChildProcess, timeoutMs: number): void {
  const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  child.once('message', () => clearTimeout(deadline));
  child.once('exit', () => clearTimeout(deadline));
}

function end(child: ChildProcess, timeoutMs: number): Promise<void> {
  return endChild(child, once(child, 'exit'), 'SIGTERM', timeoutMs);
}
