import type { Redis } from 'ioredis';
import type { PgBoss } from 'pg-boss';
import type { Logger } from 'pino';
import type { DatabasePool } from 'slonik';
import type { ApiConfig, SharedConfig, WorkerConfig } from './config.ts';
import { openPool } from './db/pool.ts';
import { requireSchema } from './health/readiness.ts';
import { createLogger } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Intake } from './orders/intake.ts';
import { openRedis, whenReady } from './redis/client.ts';
import { createHints, type Hints } from './redis/wake-ups.ts';
import type { Passwords } from './users/passwords.ts';

/** What every process is made of. Passed as the first argument; there is no container. */
export type Deps<C = SharedConfig> = {
  config: C;
  log: Logger;
  pool: DatabasePool;
  redis: Redis | null;
  hints: Hints;
  metrics: Metrics;
};

/** What an API process has besides. It has no client of the queue: jobs are made by place_orders. */
export type ApiDeps = Deps<ApiConfig> & { intake: Intake; passwords: Passwords };

/** What a worker has besides: the client of the queue. */
export type WorkerDeps = Deps<WorkerConfig> & { boss: PgBoss };

/** Opens everything, or nothing: when one part cannot be opened, those before it are closed again. */
export async function openDeps<C extends SharedConfig>(
  config: C,
  name: 'api' | 'worker',
): Promise<Deps<C>> {
  const log = createLogger(config, name);
  const pool = await openPool(config, log);
  const redis = openRedis(config, log);
  const deps = {
    config,
    log,
    pool,
    redis,
    hints: createHints(redis, config),
    metrics: createMetrics(),
  };
  try {
    await requireSchema(pool);
    await whenReady(redis);
    return deps;
  } catch (error) {
    await closeDeps(deps);
    throw error;
  }
}

/** Closes in the reverse order of opening. */
export async function closeDeps({ redis, pool }: Pick<Deps, 'redis' | 'pool'>): Promise<void> {
  redis?.disconnect();
  await pool.end();
}
