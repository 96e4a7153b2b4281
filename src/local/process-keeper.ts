/*
 * The process keeper starts child processes and keeps them running. pg-boss's supervise (src/queue) is something else.
 */
import { fork, type ChildProcess } from 'node:child_process';
import type { Environment } from '../config/load.ts';
import { keepRunning, printRestarts, whenReady, type KeptChild } from './child-process.ts';

/** How long a child may take to report ready, and to end after SIGTERM, before it is killed. */
type Timeouts = { readyMs: number; stopMs: number };

/** Keeps child processes of this service running until `stop`. */
type ProcessKeeper = {
  /** Starts a module, and resolves when it reports ready. Rejects when it ends before that, or takes too long. */
  start: (name: string, module: URL, env: Environment) => Promise<void>;
  stop: () => Promise<void>;
};

/**
 * Starts the processes of `npm start`. Each writes its log to `output`, and is restarted when it ends. A process that
 * ends before it was ready for the first time is not restarted. `print` gets one line for each restart.
 */
export function createProcessKeeper(
  output: NodeJS.WritableStream,
  print: (line: string) => void,
  { readyMs, stopMs }: Timeouts,
): ProcessKeeper {
  const children: KeptChild[] = [];

  function launch(module: URL, env: Environment): ChildProcess {
    const child = fork(module, {
      env,
      detached: true, // Ctrl-C reaches only this process, which then stops its children in order
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child.stdout?.pipe(output, { end: false });
    return child;
  }

  async function start(name: string, module: URL, env: Environment): Promise<void> {
    const first = launch(module, env);
    await whenReady(first, name, readyMs);
    function restart(): ChildProcess {
      const child = launch(module, env);
      // A child that does not become ready is killed, and then restarted like any other.
      whenReady(child, name, readyMs).catch(() => undefined);
      return child;
    }
    children.push(keepRunning(first, restart, printRestarts(name, print)));
  }

  async function stop(): Promise<void> {
    await Promise.all(children.map((child) => child.end('SIGTERM', stopMs)));
  }

  return { start, stop };
}
