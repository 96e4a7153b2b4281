import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { inheritedEnvironment } from '../config/load.ts';
import { endChild } from './child-process.ts';

/** How long a server may take to stop before it is killed. */
export const STOP_TIMEOUT_MS = 15_000;

/** A command and its arguments. */
export type Command = readonly [string, ...string[]];

/** A server that this process started, and must stop. */
export type ServerProcess = {
  child: ChildProcess;
  stop: () => Promise<void>;
  /** Calls `crashed` when the server ends, unless `stop` was called before. */
  onCrash: (crashed: () => void) => void;
};

type StartOptions = {
  /** An open file, for the output of the server. */
  logFd: number;
  stopSignal: NodeJS.Signals;
  /** By default, the working directory of this process. */
  cwd?: string;
  /** By default, the user of this process. */
  as?: { uid: number; gid: number } | undefined;
};

/**
 * Starts a server in its own process group: Ctrl-C reaches only this process, which then stops its servers in order.
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
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  let isStopping = false;
  async function stop(): Promise<void> {
    isStopping = true;
    await endChild(child, stopSignal, STOP_TIMEOUT_MS);
  }
  function onCrash(crashed: () => void): void {
    void ended.then(() => isStopping || crashed());
  }
  return { child, stop, onCrash };
}

/** Whether the program setpriv of util-linux is installed. Debian, Ubuntu and Fedora have it; macOS does not. */
export const hasSetpriv = spawnSync('setpriv', ['--version']).status === 0;

/**
 * The beginning of a command whose process gets the signal when the process that started it ends, even by SIGKILL.
 * Empty without setpriv.
 */
export function endingWithParent(signal: 'INT' | 'TERM'): string[] {
  return hasSetpriv ? ['setpriv', '--pdeathsig', signal, '--'] : [];
}
