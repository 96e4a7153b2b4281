import type { Config } from '../config.ts';
import { freePort } from './free-port.ts';

/** The ports on which the processes of `npm start` serve their metrics. */
export type MetricsPorts = { api: number; worker: number };

/** The API gets METRICS_PORT, and the worker the next port. Without METRICS_PORT, both get free ports. */
export async function metricsPorts({
  METRICS_PORT,
}: Pick<Config, 'METRICS_PORT'>): Promise<MetricsPorts> {
  if (METRICS_PORT) return { api: METRICS_PORT, worker: METRICS_PORT + 1 };
  return { api: await freePort(), worker: await freePort() };
}
