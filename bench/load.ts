import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../src/process.ts';

/** What to send, over and over. */
export type Load = {
  /** One for each process that serves; connections are shared out evenly. */
  urls: string[];
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
  connections: number;
  seconds: number;
  /** The status that every answer must have. */
  status: number;
  /** Sends an Idempotency-Key of its own with every request. */
  keyed?: boolean;
};

/** What a load run measured. */
export type LoadResult = {
  requests: number;
  seconds: number;
  perSecond: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
  /** Of the process that sent it. */
  cpuSeconds: number;
};

/**
 * Sends requests over so many kept-alive connections, one after the other on each, for so long: from a
 * process of its own, so that nothing else that the bench does is in its way. Rejects at the first answer
 * that is not the expected one: a figure of failures is no figure.
 */
export async function drive(load: Load, stop?: AbortSignal): Promise<LoadResult> {
  const child = fork(fileURLToPath(new URL('load-process.ts', import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  });
  const abort = () => child.kill('SIGKILL');
  stop?.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<LoadResult>((resolve, reject) => {
      child.once('message', (message: LoadResult | { failed: string }) => {
        if ('failed' in message) reject(new ReadableError(message.failed));
        else resolve(message);
      });
      child.once('exit', () => reject(new ReadableError('the load generator ended early')));
      child.once('error', reject);
      child.send(load);
    });
  } finally {
    stop?.removeEventListener('abort', abort);
    child.kill('SIGKILL'); // it has said what it had to say
  }
}
