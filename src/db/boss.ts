import { PgBoss, type CommandResponse, type Db, type JobAttempt, type JobResult } from 'pg-boss';
import type { Logger } from 'pino';
import { sql } from 'slonik';
import type { DatabaseTransactionConnection, PrimitiveValueExpression } from 'slonik';
import { queues, type Payload, type QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';

/** What a process does with the queue: the API only enqueues, a worker also looks after it. */
export type Role = 'api' | 'worker';

/** How often workers look after the queues at least; lookout.ts has them do so at once when it is needed. */
const SUPERVISE_INTERVAL_SECONDS = 120;

/**
 * Between two looks after a queue in which something happens, by whichever worker: how old its counters get
 * unless it is long (lookout.ts), and part of the rescue bound in the README.
 */
export const MONITOR_INTERVAL_SECONDS = 2;

/** How often a worker says that it lives: silent three times, and ops.workers calls it dead. */
const LIFE_SIGN_INTERVAL_SECONDS = 3;

/**
 * Creates the queue's client; `start()` connects it. It keeps a pool of its own, because slonik
 * refuses the multi-statement SQL that pg-boss is maintained with.
 */
export function createBoss(
  config: Pick<Config, 'DATABASE_URL' | 'QUEUE_POOL_SIZE_MAX'>,
  role: Role,
  log: Logger,
): PgBoss {
  const boss = new PgBoss({
    connectionString: config.DATABASE_URL,
    application_name: `oms-${role}-queue`,
    instanceName: role,
    max: role === 'api' ? 2 : config.QUEUE_POOL_SIZE_MAX,
    connectionTimeoutMillis: 5_000,
    // Workers look after the rows of the queue; its tables are made by migrate alone, whose role owns
    // them. All others refuse to start on another schema version.
    migrate: false,
    supervise: role === 'worker',
    schedule: role === 'worker',
    superviseIntervalSeconds: SUPERVISE_INTERVAL_SECONDS,
    monitorIntervalSeconds: MONITOR_INTERVAL_SECONDS,
    flowIntervalSeconds: 3600, // it would unblock jobs that wait for another; none of ours does
    cronWorkerIntervalSeconds: 30, // how long after its minute a scheduled job may come
    persistQueueStats: role === 'worker',
    ...(role === 'worker' && { instanceHeartbeatSeconds: LIFE_SIGN_INTERVAL_SECONDS }),
  });
  boss.on('error', (err) => log.error({ err }, 'queue error'));
  boss.on('warning', (warning) => log.warn({ warning }, 'queue warning'));
  return boss;
}

/** A job to be added. The id, when given, makes adding it a second time an error. */
export type NewJob<Q extends QueueName> = { id: string; data: Payload<Q> };

/**
 * Adds jobs inside the caller's transaction: they are there when it commits, and never were when it
 * rolls back. That is the whole reason the queue lives in Postgres. Throws, and so aborts the
 * transaction, unless each job was really created: pg-boss itself inserts ON CONFLICT DO NOTHING.
 */
export async function enqueue<Q extends QueueName>(
  boss: PgBoss,
  tx: DatabaseTransactionConnection,
  queue: Q,
  jobs: NewJob<Q>[],
): Promise<void> {
  const rows = jobs.map(({ id, data }) => ({ id, data: queues[queue].payload.parse(data) }));
  const db = bossDb(tx, `enqueue-${queue}`);
  const created = new Set(await boss.insert(queue, rows, { db, returnId: true }));
  const missing = jobs.filter(({ id }) => !created.has(id));
  if (missing.length > 0)
    throw new JobNotCreated(
      queue,
      missing.map(({ id }) => id),
    );
}

/** pg-boss did not create a job that it was given, most likely because its id is taken. */
export class JobNotCreated extends Error {
  override name = 'JobNotCreated';
  constructor(queue: string, ids: string[]) {
    super(`queue ${queue} did not take job ${ids.join(', ')}`);
  }
}

/** What a handler says of a job. With `settled`, its own transaction has settled it already. */
export type Outcome = JobResult & { settled?: true };

/**
 * Completes jobs inside the caller's transaction, fenced to the attempts that were claimed. Throws
 * ClaimLost, and so rolls back the effect, when another attempt has taken over any of them.
 *
 * What `boss.complete` does, but never by the index of live jobs (the queue's _i14), which has no `state::text`.
 * pg-boss's statement uses it whenever there were few active ones at the last ANALYZE, and while a transaction stays
 * open that index keeps an entry for every job that was worked off: 150 ms for 500 jobs after 200,000 others.
 */
export async function completeJobs(
  tx: DatabaseTransactionConnection,
  queue: QueueName,
  attempts: JobAttempt[],
): Promise<void> {
  if (attempts.length === 0) return;
  const ids = attempts.map(({ id }) => id);
  const claims = attempts.map(({ id, retryCount }) => `(${id},${retryCount})`);
  const { rowCount } = await tx.query(sql.unsafe`
    UPDATE pgboss.job AS j SET state = 'completed', completed_on = pgboss.job_now(), output = NULL
    WHERE j.name = ${queue} AND j.id = ANY(${sql.array(ids, 'uuid')}) AND j.state::text = 'active'
      AND (j.id, j.retry_count)::text = ANY(${sql.array(claims, 'text')})
  `);
  requireClaim(queue, attempts, rowCount);
}

/**
 * Fails attempts inside the caller's transaction, fenced like `completeJobs`. The next ones come after the
 * queue's back-off; the last ones go to the dead letters.
 */
export async function failJobs(
  boss: PgBoss,
  tx: DatabaseTransactionConnection,
  queue: QueueName,
  attempts: JobAttempt[],
  message: string,
): Promise<void> {
  const response = await boss.fail(queue, attempts, { message }, { db: bossDb(tx) });
  // The count is part of every response of pg-boss 12.38, and missing from its types.
  requireClaim(queue, attempts, (response as CommandResponse & { affected: number }).affected);
}

/** Fails an attempt like `failJobs`, and puts the next one off for so many seconds instead. */
export async function retryJobAfter(
  boss: PgBoss,
  tx: DatabaseTransactionConnection,
  queue: QueueName,
  attempt: JobAttempt,
  { message, seconds }: { message: string; seconds: number },
): Promise<void> {
  await failJobs(boss, tx, queue, [attempt], message);
  await boss.update(queue, undefined, { id: attempt.id, startAfter: seconds, db: bossDb(tx) });
}

/** How long pg-boss would wait before the next attempt: exponential, with jitter in its upper half. */
export function backOffSeconds(queue: QueueName, { retryCount }: JobAttempt): number {
  const { retryDelay = 0, retryDelayMax = Infinity } = queues[queue].options;
  const doubled = Math.max(retryDelay, 1) * 2 ** Math.min(16, retryCount + 1);
  return Math.min(retryDelayMax, doubled * (0.5 + Math.random() / 2));
}

function requireClaim(queue: QueueName, attempts: JobAttempt[], settled: number): void {
  const lost = attempts.length - settled;
  if (lost > 0) throw new ClaimLost(queue, lost);
}

/** This worker no longer holds the jobs it was working on: its transaction must not commit. */
export class ClaimLost extends Error {
  override name = 'ClaimLost';
  constructor(queue: string, lost: number) {
    super(`${lost} job(s) of queue ${queue} are no longer claimed by this attempt`);
  }
}

/**
 * Lends a slonik transaction to pg-boss for one call. Not for `fetch`: slonik's parsers apply. With a name, the
 * statement is prepared under it, once per connection: pg-boss must not use another text there.
 */
export function bossDb(tx: DatabaseTransactionConnection, name?: string): Db {
  return {
    async executeSql(text, values = []) {
      // pg-boss writes its own SQL with $1 placeholders, which a template tag cannot express, so
      // this is the one place where a query token is assembled by hand.
      const query = {
        ...sql.unsafe`SELECT`,
        sql: text,
        values: values as PrimitiveValueExpression[],
        ...(name !== undefined && { name }),
      };
      const { rows } = await tx.query(query);
      return { rows: [...rows] };
    },
  };
}
