import { ask } from './child.ts';

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
  /** Answered within the time that counts. */
  requests: number;
  /** Answered altogether, from the very start. */
  total: number;
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
 * Sends requests over so many kept-alive connections, one after the other on each, for so long. Rejects at
 * the first answer that is not the expected one: a figure of failures is no figure.
 */
export function drive(load: Load): Promise<LoadResult> {
  return ask<LoadResult>('load-process.ts', load);
}
