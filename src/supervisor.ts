import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Environment } from './config.ts';

const RESTART_DELAY_MS_MIN = 500;
const RESTART_DELAY_MS_MAX = 10_000;
const READY_TIMEOUT_MS = 20_000; // Node itself has been seen to hang while it loads
const STEADY_MS = 30_000; // a child that lived this long starts over with the shortest delay

/** Keeps child processes of this service running until `stop`. */
export type Supervisor = {
  /** Starts a module, and resolves once it reports ready. Rejects when it exits before that. */
  start: (name: string, module: URL) => Promise<void>;
  stop: () => Promise<void>;
};

/**
 * Children get `env`, write their log to `output`, and get SIGTERM at the end. One that dies after it
 * was ready is started again.
 */
export function createSupervisor(
  env: Environment,
  output: NodeJS.WritableStream,
  say: (line: string) => void,
): Supervisor {
  const children = new Map<string, ChildProcess>();
  const restarts = new Set<NodeJS.Timeout>();
  const onReady = new Map<string, () => void>();
  let stopping = false;

  function launch(name: string, module: URL, delayMs = RESTART_DELAY_MS_MIN): ChildProcess {
    const started = Date.now();
    const child = fork(module, {
      env,
      detached: true, // Ctrl-C reaches us alone, and we stop them in order
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child.stdout?.pipe(output, { end: false });
    children.set(name, child);
    const deadline = setTimeout(() => child.kill('SIGKILL'), READY_TIMEOUT_MS);
    child.once('message', () => {
      clearTimeout(deadline);
      onReady.get(name)?.();
    });
    child.once('exit', () => clearTimeout(deadline));
    child.once('exit', (code, signal) => {
      children.delete(name);
      if (stopping) return;
      const wait = Date.now() - started > STEADY_MS ? RESTART_DELAY_MS_MIN : delayMs;
      say(`${name} ended (${signal ?? `exit code ${code}`}); starting it again in ${wait} ms`);
      const timer = setTimeout(() => {
        restarts.delete(timer);
        launch(name, module, Math.min(wait * 2, RESTART_DELAY_MS_MAX));
      }, wait);
      restarts.add(timer);
    });
    return child;
  }

  return {
    async start(name, module) {
      const ready = Promise.withResolvers<void>();
      let wasReady = false;
      onReady.set(name, ready.resolve);
      launch(name, module).prependOnceListener('exit', (code, signal) => {
        if (wasReady || signal === 'SIGKILL') return; // at the deadline it is launched again
        stopping = true; // it never worked: do not try again and again
        ready.reject(new Error(`${name} did not start (exit code ${code})`));
      });
      await ready.promise;
      wasReady = true;
    },
    async stop() {
      stopping = true;
      for (const timer of restarts) clearTimeout(timer);
      const alive = [...children.values()].filter((child) => child.exitCode === null);
      await Promise.all(alive.map(end));
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
