import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../src/process.ts';
import { costOf, type Cost } from './cost.ts';

const spent: Cost = { cpuSeconds: 0, memoryMb: 0 };

/** What those that were asked have cost so far: CPU in all, memory the most that one of them had. */
export const costOfAsked = (): Cost => spent;

/**
 * Asks a child process, a module of this folder, one question, and returns its answer. A process of its own
 * is not disturbed by whatever else the bench does.
 */
export async function ask<Answer extends object>(
  module: string,
  question: object,
): Promise<Answer> {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    detached: true, // Ctrl-C reaches only the bench, which ends this one by closing the channel
  });
  try {
    return await new Promise<Answer>((resolve, reject) => {
      child.once('message', (message: Answer | { failed: string }) => {
        if ('failed' in message) reject(new ReadableError(message.failed));
        else resolve(message);
      });
      child.once('exit', () => reject(new ReadableError(`${module} ended early`)));
      child.once('error', reject);
      child.send(question);
    });
  } finally {
    const { cpuSeconds, memoryMb } = costOf(child.pid ?? 0);
    spent.cpuSeconds += cpuSeconds;
    spent.memoryMb = Math.max(spent.memoryMb, memoryMb);
    child.kill('SIGKILL'); // it has said what it had to say
  }
}

/** The child's side: answers the question, and goes when the bench does. */
export function answerWith(answer: (question: never) => Promise<object>): void {
  process.once('message', (question) => {
    answer(question as never).then(
      (message) => process.send?.(message),
      (error: unknown) =>
        process.send?.({ failed: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
