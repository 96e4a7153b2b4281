/*
 * Child processes: wait until one is ready, end one, restart one that has ended.
 */
import type { ChildProcess } from 'node:child_process';

/** After a process has run this long, its next restart waits for the shortest delay again. */
const STABLE_MS = 30_000;

/** Whether a process was started and has not ended. */
export function isRunning({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

/** How a process ended: `SIGKILL`, or `exit code 1`. */
export function describeEnd({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`;
}

/**
 * Waits until a forked process reports that it is ready, and resolves with that message: the first one over IPC. Kills
 * the process when it is not ready in time. Rejects with `NAME did not start (SIGKILL)` when it ends before that.
 */
export async function whenReady(
  child: ChildProcess,
  name: string,
  timeoutMs: number,
): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const fail = () => reject(new Error(`${name} did not start (${describeEnd(child)})`));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  child.once('message', resolve);
  child.once('error', reject);
  if (isRunning(child)) child.once('exit', fail);
  else fail();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    child.off('exit', fail);
  }
}

/** Sends a signal to a process, and SIGKILL when it has not ended within the timeout. Resolves when it has ended. */
export async function endChild(
  child: ChildProcess,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<void> {
  if (!isRunning(child)) return;
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await exited;
  clearTimeout(timer);
}

/** When a process is restarted, and what happens then. */
type RestartOptions = {
  /** The wait before a restart. It doubles each time, up to `max`, and is `min` again after a run of over 30 s. */
  delayMs: { min: number; max: number };
  /** Called when a process has ended and its output has been read. The restart follows after this time. */
  onEnd: (ended: ChildProcess, restartInMs: number) => void;
};

/** How `npm start` restarts a process: after 0.5 s to 10 s, with one printed line for each restart. */
export function printRestarts(name: string, print: (line: string) => void): RestartOptions {
  return {
    delayMs: { min: 500, max: 10_000 },
    onEnd: (ended, waitMs) =>
      print(`${name} ended (${describeEnd(ended)}); starting it again in ${waitMs} ms`),
  };
}

/** A process that is restarted whenever it ends. */
export type KeptChild = {
  /** The current process. Between an end and its restart: the ended one. */
  current: () => ChildProcess;
  /** Ends the process as `endChild` does, and does not restart it. */
  end: (signal: NodeJS.Signals, timeoutMs: number) => Promise<void>;
};

/** Keeps a running process running: calls `restart` for another one each time that it ends, until `end` is called. */
export function keepRunning(
  first: ChildProcess,
  restart: () => ChildProcess,
  { delayMs, onEnd }: RestartOptions,
): KeptChild {
  let current = first;
  let nextDelayMs = delayMs.min;
  let timer: NodeJS.Timeout | undefined;
  let isEnding = false;

  function watch(child: ChildProcess): void {
    const startedAt = Date.now();
    current = child;
    // 'close' comes after 'exit', when all output has been read.
    child.once('close', () => {
      if (isEnding) return;
      const waitMs = Date.now() - startedAt > STABLE_MS ? delayMs.min : nextDelayMs;
      nextDelayMs = Math.min(waitMs * 2, delayMs.max);
      onEnd(child, waitMs);
      timer = setTimeout(() => watch(restart()), waitMs);
    });
  }

  watch(first);
  return {
    current: () => current,
    async end(signal, timeoutMs) {
      isEnding = true;
      clearTimeout(timer);
      await endChild(current, signal, timeoutMs);
    },
  };
}
