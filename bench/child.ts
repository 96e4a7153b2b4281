import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../src/process.ts';
import { costOf, type Cost } from './cost.ts';

const spent: Cost = { cpuSeconds: 0, memoryMb: 0 };

/** The cost of all child processes so far: the sum of their CPU time, and the largest memory peak. */
export const costOfChildren = (): Cost => spent;

/**
 * Runs a module of this folder in a process of its own, where the rest of the bench does not disturb it. Sends it one
 * request over IPC, and returns its result.
 */
export async function runInChild<Result extends object>(
  module: string,
  request: object,
): Promise<Result> {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    detached: true, // Ctrl-C reaches only the bench, whose end closes the channel and so ends this process
  });
  try {
    return await new Promise<Result>((resolve, reject) => {
      child.once('message', (message: Result | { failed: string }) => {
        if ('failed' in message) reject(new ReadableError(message.failed));
        else resolve(message);
      });
      child.once('exit', () => reject(new ReadableError(`${module} ended without a result`)));
      child.once('error', reject);
      child.send(request);
    });
  } finally {
    const { cpuSeconds, memoryMb } = costOf(child.pid ?? 0);
    spent.cpuSeconds += cpuSeconds;
    spent.memoryMb = Math.max(spent.memoryMb, memoryMb);
    child.kill('SIGKILL'); // it has sent its result, or failed
  }
}

/** The side of the child: sends the result for the request, and exits when the bench does. */
export function replyWith(run: (request: never) => Promise<object>): void {
  process.once('message', (request) => {
    run(request as never).then(
      (message) => process.send?.(message),
      (error: unknown) =>
        process.send?.({ failed: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
