import type { Redis } from 'ioredis';
import type { PgBoss } from 'pg-boss';
import type { Logger } from 'pino';
import type { DatabasePool } from 'slonik';
import type { ApiConfig, SharedConfig, WorkerConfig } from './config.ts';
import { openPool } from './db/pool.ts';
import { requireSchema } from './db/schema-version.ts';
import { Probe } from './health/probe.ts';
import { createLog } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Outage } from './outage.ts';
import { openRedis, whenReady } from './redis/client.ts';
import { createWakeUps, type WakeUps } from './redis/wake-ups.ts';

/** The parts that API and workers share. Functions get them as their first argument: there is no container. */
export type Deps<C = SharedConfig> = {
  config: C;
  log: Logger;
  pool: DatabasePool;
  redis: Redis | null;
  wakeUps: WakeUps;
  metrics: Metrics;
  /** Records outages of the database. Code that notices a lost connection reports it here. */
  outage: Outage;
  probe: Probe;
  /** Aborted when the process begins to stop. Then the process is not ready any more. */
  stopping: AbortController;
};

/** An API process has no client of the queue: place_orders makes the jobs. */
export type ApiDeps = Deps<ApiConfig>;

/** A worker also has the client of the queue. */
export type WorkerDeps = Deps<WorkerConfig> & { boss: PgBoss };

/** Opens all parts. When one cannot be opened, closes those before it, and throws. */
export async function openDeps<C extends SharedConfig>(
  config: C,
  name: 'api' | 'worker',
): Promise<Deps<C>> {
  const { log, outage } = createLog(config, name);
  const pool = await openPool(config, log, `oms-${name}`);
  const redis = openRedis(config, log);
  const deps = {
    config,
    log,
    pool,
    redis,
    wakeUps: createWakeUps(redis, config),
    metrics: createMetrics(),
    outage,
    probe: new Probe(config, `oms-${name}`, { log, outage }),
    stopping: new AbortController(),
  };
  try {
    await requireSchema(pool);
    await deps.probe.open();
    await whenReady(redis);
    return deps;
  } catch (error) {
    await closeDeps(deps);
    throw error;
  }
}

/** Closes in the reverse order of opening. */
export async function closeDeps({
  redis,
  pool,
  probe,
}: Pick<Deps, 'redis' | 'pool' | 'probe'>): Promise<void> {
  probe.close();
  redis?.disconnect();
  await pool.end();
}
