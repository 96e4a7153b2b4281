/*
 * The client of the queue, for workers. pg-boss claims, retries, dead-letters, supervises and schedules jobs.
 * place_orders makes the jobs of orders; the door functions in sql/functions settle them.
 */
import { Pool, type PoolConfig, type QueryConfig } from 'pg';
import { PgBoss, type CommandResponse, type Db, type JobAttempt, type JobResult } from 'pg-boss';
import type { Logger } from 'pino';
import { sql, type DatabasePool } from 'slonik';
import { queues, type QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';
import { createConnector, DatabaseClient, type ClientOptions } from '../db/connection/client.ts';
import { asOutage } from '../db/errors.ts';

/** Workers supervise the queues at least this often. watcher.ts supervises a queue at once when it needs that. */
const SUPERVISE_INTERVAL_SECONDS = 120;

/**
 * All workers together count an active queue at this interval, so its counters are at most this old. A long queue is
 * counted less often (watcher.ts).
 */
export const MONITOR_INTERVAL_SECONDS = 2;

/** How often a worker writes its heartbeat. ops.workers shows it as dead after three missed ones. */
const INSTANCE_HEARTBEAT_SECONDS = 3;

/** Longer than the 7 days after which prepare_queue_stats() drops partitions, so pg-boss finds none to drop. */
const QUEUE_STATS_RETENTION_DAYS = 30;

/** Longer than for requests, because supervising a long queue takes longer. */
const LIMITS = { statementTimeoutMs: 60_000, idleInTransactionTimeoutMs: 60_000 };

/** A prepared claim is planned once per connection. This bounds the age of the plan, as the queue grows and shrinks. */
const CONNECTION_LIFETIME_SECONDS = 600;

/** The client of the queue, and a function that closes it with its connections. */
type QueueClient = { boss: PgBoss; close: (timeoutSeconds: number) => Promise<void> };

/**
 * Creates a worker's client of the queue; `boss.start()` connects it. With `supervise: false` it does not supervise
 * queues, and is not registered as a worker. It has its own connections, because slonik refuses the multi-statement SQL
 * that pg-boss uses.
 */
export function createQueue(
  config: Pick<Config, 'DATABASE_URL' | 'QUEUE_POOL_SIZE_MAX'>,
  log: Logger,
  { supervise = true } = {},
): QueueClient {
  const pool = new Pool({
    ...connections(config),
    max: config.QUEUE_POOL_SIZE_MAX,
    maxLifetimeSeconds: CONNECTION_LIFETIME_SECONDS,
  });
  pool.on('error', (cause) => log.error({ err: asOutage(cause) }, 'queue connection failed'));
  const boss = new PgBoss({
    db: workerDb(pool),
    instanceName: 'worker',
    registerInstance: supervise,
    // Workers write the rows of the queue. Only migrate, whose role owns the tables, changes the schema. A worker
    // refuses to start on another schema version.
    migrate: false,
    supervise,
    schedule: supervise,
    reindex: false,
    superviseIntervalSeconds: SUPERVISE_INTERVAL_SECONDS,
    monitorIntervalSeconds: MONITOR_INTERVAL_SECONDS,
    cronWorkerIntervalSeconds: 30, // how late a scheduled job may be sent
    persistQueueStats: supervise,
    queueStatRetentionDays: QUEUE_STATS_RETENTION_DAYS,
    instanceHeartbeatSeconds: INSTANCE_HEARTBEAT_SECONDS,
  });
  boss.on('error', (cause) => log.error({ err: asOutage(asError(cause)) }, 'queue error'));
  boss.on('warning', (warning) => log.warn({ warning }, 'queue warning'));
  return {
    boss,
    async close(timeoutSeconds) {
      await boss.stop({ graceful: timeoutSeconds > 0, timeout: timeoutSeconds * 1000 });
      await pool.end();
    },
  };
}

/** pg-boss sends some errors as copies that have the members of an error, but not its class. */
function asError(copy: Error): Error {
  return copy instanceof Error ? copy : Object.assign(new Error(), copy);
}

/** Options of pg's pool. The pool creates each client with the same options. */
function connections({ DATABASE_URL }: Pick<Config, 'DATABASE_URL'>): PoolConfig {
  const connector = createConnector(DATABASE_URL, { name: 'oms-worker-queue', ...LIMITS });
  const options: ClientOptions & { Client: typeof DatabaseClient } = {
    connector,
    Client: DatabaseClient,
  };
  return options as unknown as PoolConfig;
}

/** Wraps a pool for pg-boss, and adapts statements to the rights of a worker. */
function workerDb(pool: Pool): Db {
  const claims = new Map<string, string>();
  const run = (query: string | QueryConfig, values?: unknown[]) =>
    pool.query(query, values).catch((error: unknown) => {
      throw asOutage(error);
    });
  return {
    async executeSql(text, values = []) {
      // pg-boss creates its queue of schedules at each start. migrate has made it, and a worker may not create queues.
      if (text.includes('.create_queue(')) return { rows: [] };
      // No job of ours depends on another, so there is nothing to unblock. A worker has no right to do it, either.
      if (text.includes('SET flow_on =')) return { rows: [] };
      // Planning a claim takes longer than running it, so claims are prepared.
      if (!text.includes('FOR UPDATE OF j SKIP LOCKED')) return run(text, values);
      const name = claims.get(text) ?? `claim-${claims.size}`;
      claims.set(text, name);
      return run({ name, text, values });
    },
  };
}

/** Makes the partitions for the statistics of the next days. pg-boss cannot: a worker may not create tables. */
export async function prepareQueueStats({ pool }: { pool: DatabasePool }): Promise<void> {
  await pool.query(sql.unsafe`SELECT prepare_queue_stats()`);
}

/** The outcome that a handler returns for a job. `settled`: the handler's own transaction has settled the job. */
export type JobOutcome = JobResult & { settled?: true };

/**
 * Fails attempts, fenced to the claims. The next attempts follow after the queue's back-off; jobs that have used up
 * their retries become dead letters. Returns the ids of the failed jobs: all, except those whose claim is lost.
 */
export async function failJobs(
  boss: PgBoss,
  queue: QueueName,
  attempts: JobAttempt[],
  message: string,
): Promise<readonly string[]> {
  const response = await boss.fail(queue, attempts, { message });
  // The ids are part of every response of pg-boss 12.38, and missing from its types.
  return (response as CommandResponse & { settled: string[] }).settled;
}

/** How long pg-boss waits before the next attempt: it doubles with each attempt, with jitter in its upper half. */
export function backOffSeconds(queue: QueueName, { retryCount }: JobAttempt): number {
  const { retryDelay = 0, retryDelayMax = Infinity } = queues[queue].options;
  const doubled = Math.max(retryDelay, 1) * 2 ** Math.min(16, retryCount + 1);
  return Math.min(retryDelayMax, doubled * (0.5 + Math.random() / 2));
}

/** This worker has lost the claim on at least one of the jobs that it processed together: nothing was committed. */
export class ClaimLost extends Error {
  override name = 'ClaimLost';
  constructor(jobs: number) {
    super(`the claim on at least one of ${jobs} job(s) is lost`);
  }
}
