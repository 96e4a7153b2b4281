/*
 * The client of the queue, for workers. pg-boss claims, retries, dead-letters, supervises and schedules; jobs of orders
 * are made by place_orders and settled by the doors in sql/functions.
 */
import { Pool } from 'pg';
import { PgBoss, type CommandResponse, type Db, type JobAttempt, type JobResult } from 'pg-boss';
import type { Logger } from 'pino';
import { sql, type DatabasePool } from 'slonik';
import { queues, type QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';

/** How often workers look after the queues at least; lookout.ts has them do so at once when it is needed. */
const SUPERVISE_INTERVAL_SECONDS = 120;

/**
 * Between two looks after a queue in which something happens, by whichever worker: how old its counters get
 * unless it is long (lookout.ts), and part of the rescue bound in the README.
 */
export const MONITOR_INTERVAL_SECONDS = 2;

/** How often a worker says that it lives: silent three times, and ops.workers calls it dead. */
const LIFE_SIGN_INTERVAL_SECONDS = 3;

/** prepare_queue_stats() drops the partitions of statistics after 7 days, so pg-boss finds none to drop. */
const QUEUE_STATS_RETENTION_DAYS = 30;

/** A prepared claim is planned once per connection, and so for this long: the queue grows and shrinks meanwhile. */
const CONNECTION_LIFETIME_SECONDS = 600;

/** The client of the queue, and its connections. */
export type Queue = { boss: PgBoss; close: (timeoutSeconds: number) => Promise<void> };

/**
 * Creates a worker's client of the queue; `boss.start()` connects it. With `supervise: false` it looks after no queue,
 * and is not registered as a worker. It has connections of its own, because slonik refuses the multi-statement SQL
 * that pg-boss uses.
 */
export function createQueue(
  config: Pick<Config, 'DATABASE_URL' | 'QUEUE_POOL_SIZE_MAX'>,
  log: Logger,
  { supervise = true } = {},
): Queue {
  const pool = new Pool({
    connectionString: config.DATABASE_URL,
    application_name: 'oms-worker-queue',
    max: config.QUEUE_POOL_SIZE_MAX,
    connectionTimeoutMillis: 5_000,
    maxLifetimeSeconds: CONNECTION_LIFETIME_SECONDS,
  });
  pool.on('error', (err) => log.error({ err }, 'queue connection failed'));
  const boss = new PgBoss({
    db: workerDb(pool),
    instanceName: 'worker',
    registerInstance: supervise,
    // Workers look after the rows of the queue; its tables are made by migrate alone, whose role owns
    // them. A worker refuses to start on another schema version.
    migrate: false,
    supervise,
    schedule: supervise,
    reindex: false,
    superviseIntervalSeconds: SUPERVISE_INTERVAL_SECONDS,
    monitorIntervalSeconds: MONITOR_INTERVAL_SECONDS,
    cronWorkerIntervalSeconds: 30, // how long after its minute a scheduled job may come
    persistQueueStats: supervise,
    queueStatRetentionDays: QUEUE_STATS_RETENTION_DAYS,
    instanceHeartbeatSeconds: LIFE_SIGN_INTERVAL_SECONDS,
  });
  boss.on('error', (err) => log.error({ err }, 'queue error'));
  boss.on('warning', (warning) => log.warn({ warning }, 'queue warning'));
  return {
    boss,
    async close(timeoutSeconds) {
      await boss.stop({ graceful: timeoutSeconds > 0, timeout: timeoutSeconds * 1000 });
      await pool.end();
    },
  };
}

/** Lends a pool to pg-boss, with what a worker may do. */
function workerDb(pool: Pool): Db {
  const claims = new Map<string, string>();
  return {
    async executeSql(text, values = []) {
      // pg-boss creates its queue of schedules whenever it starts. migrate has made it, and no worker may.
      if (text.includes('.create_queue(')) return { rows: [] };
      // None of our jobs waits for another one, so it is never a worker's turn to unblock any, and none has the right.
      if (text.includes('SET flow_on =')) return { rows: [] };
      // Planning a claim takes longer than carrying it out.
      if (!text.includes('FOR UPDATE OF j SKIP LOCKED')) return pool.query(text, values);
      const name = claims.get(text) ?? `claim-${claims.size}`;
      claims.set(text, name);
      return pool.query({ name, text, values });
    },
  };
}

/** Makes the tables of the next days' statistics, which no worker may create itself. */
export async function prepareQueueStats({ pool }: { pool: DatabasePool }): Promise<void> {
  await pool.query(sql.unsafe`SELECT prepare_queue_stats()`);
}

/** What a handler says of a job. With `settled`, its own transaction has settled it already. */
export type Outcome = JobResult & { settled?: true };

/**
 * Fails attempts, fenced to the claims. The next ones come after the queue's back-off; the last ones go to the dead
 * letters. Throws ClaimLost when another attempt has taken over any of them.
 */
export async function failJobs(
  boss: PgBoss,
  queue: QueueName,
  attempts: JobAttempt[],
  message: string,
): Promise<void> {
  const response = await boss.fail(queue, attempts, { message });
  // The count is part of every response of pg-boss 12.38, and missing from its types.
  const lost = attempts.length - (response as CommandResponse & { affected: number }).affected;
  if (lost > 0) throw new ClaimLost(queue, lost);
}

/** How long pg-boss would wait before the next attempt: exponential, with jitter in its upper half. */
export function backOffSeconds(queue: QueueName, { retryCount }: JobAttempt): number {
  const { retryDelay = 0, retryDelayMax = Infinity } = queues[queue].options;
  const doubled = Math.max(retryDelay, 1) * 2 ** Math.min(16, retryCount + 1);
  return Math.min(retryDelayMax, doubled * (0.5 + Math.random() / 2));
}

/** This worker no longer holds the jobs it was working on: what it has done for them did not commit. */
export class ClaimLost extends Error {
  override name = 'ClaimLost';
  constructor(queue: string, lost: number) {
    super(`${lost} job(s) of queue ${queue} are no longer claimed by this attempt`);
  }
}
