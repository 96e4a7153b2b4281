import { runInChild } from './child.ts';

/** A request that is sent again and again. */
export type Load = {
  /** One for each API process. The connections are divided evenly. */
  urls: string[];
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
  connections: number;
  seconds: number;
  /** The status that every reply must have. */
  status: number;
  /** Sends every request with its own Idempotency-Key. */
  keyed?: boolean;
};

/** The figures of a load. */
export type LoadResult = {
  /** Requests that were answered during the measurement. */
  requests: number;
  /** Requests that were answered since the start, including the lead-in. */
  total: number;
  seconds: number;
  perSecond: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
  /** CPU time of the load generator during the measurement. */
  cpuSeconds: number;
};

/**
 * Sends requests over kept-alive connections for the given time, one after the other on each connection. Rejects at the
 * first reply with an unexpected status.
 */
export function drive(load: Load): Promise<LoadResult> {
  return runInChild<LoadResult>('load-process.ts', load);
}
