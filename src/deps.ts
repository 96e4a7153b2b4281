import type { Redis } from 'ioredis';
import type { PgBoss } from 'pg-boss';
import type { Logger } from 'pino';
import type { DatabasePool } from 'slonik';
import type { ApiConfig, Config, WorkerConfig } from './config.ts';
import { createBoss, type Role } from './db/boss.ts';
import { openPool } from './db/pool.ts';
import { requireSchema } from './health/readiness.ts';
import { createLogger } from './log.ts';
import { createIntake, type Intake } from './orders/intake.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { openRedis, whenReady } from './redis/client.ts';
import { createHints, type Hints } from './redis/hints.ts';
import { createPasswords, type Passwords } from './users/passwords.ts';

/** Everything the service is made of. Passed as the first argument; there is no container. */
export type Deps = {
  config: Config;
  log: Logger;
  pool: DatabasePool;
  boss: PgBoss;
  redis: Redis | null;
  hints: Hints;
  intake: Intake;
  metrics: Metrics;
  passwords: Passwords;
};

/** Opens everything, or nothing: when one part cannot be opened, those before it are closed again. */
export async function openDeps(settings: ApiConfig | WorkerConfig, role: Role): Promise<Deps> {
  const config = settings as Config; // a process runs only code that reads its own settings
  const log = createLogger(config, role);
  const pool = await openPool(config, log);
  const redis = openRedis(config, log);
  const boss = createBoss(config, role, log);
  const hints = createHints(redis, config);
  const parts = {
    config,
    log,
    pool,
    redis,
    boss,
    hints,
    metrics: createMetrics(),
    passwords: createPasswords(),
  };
  const deps = { ...parts, intake: createIntake(parts) };
  try {
    await requireSchema(pool); // before the queue: its own complaint would not say what to do
    await boss.start();
    await whenReady(redis);
    return deps;
  } catch (error) {
    await closeDeps(deps);
    throw error;
  }
}

/** Closes in the reverse order of opening. Jobs in hand are finished, or returned at the timeout. */
export async function closeDeps({ boss, redis, pool, config }: Deps): Promise<void> {
  await boss.stop({ graceful: true, timeout: config.SHUTDOWN_TIMEOUT_SECONDS * 1000 });
  redis?.disconnect();
  await pool.end();
}
