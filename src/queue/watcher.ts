import { sql } from 'slonik';
import { z } from 'zod';
import { queues, type QueueName } from '../../jobs/queues.ts';
import { MONITOR_INTERVAL_SECONDS } from './boss.ts';
import type { Consumers } from './consumers.ts';
import type { Deps, WorkerDeps } from '../deps.ts';
import { restAfter } from '../rest.ts';
import { Movement } from './movement.ts';
import { Supervision } from './supervision.ts';

/** A queue is counted again this long after work, because pg-boss leaves out jobs that ended in the last 10 s. */
const LAST_COUNT_MS = 12_000;

/**
 * How many jobs of a queue are counted per second at most, because counting a long queue slows down its processing. The
 * counts that pg-boss makes by itself are not included.
 */
const COUNTED_PER_SECOND = 20_000;

/** The longest rest after a slow check. Capped, because documented latencies depend on it. */
const CHECK_REST_MS_MAX = 1_000;

/** The state of a queue at one check. */
const QueueState = z.object({
  queue: z.enum(Object.keys(queues) as QueueName[]),
  paused: z.boolean(),
  due_ms: z.number().nullable(), // how long the oldest job has been due; null: no job is due
  lost: z.boolean(), // an active job has passed its time limit or missed its heartbeat
  busy: z.boolean(), // jobs are active, or were ready or active at the last count
  ahead: z.boolean(), // some times of the queue lie in the future: the clock has stepped back
  counted_ms_ago: z.number(),
  counted_late: z.boolean(), // the last count is older than the interval for a queue of this length
});
type QueueState = z.infer<typeof QueueState>;

const RowsChanged = z.object({ rows_changed: z.int() });

/** A running watcher. `stuckQueues` returns the queues with due jobs on which this worker does not work. */
type Watcher = { stop: () => void; stuckQueues: () => string[] };

/**
 * Checks all queues every WORKER_POLL_SECONDS by one statement, a little less often when a check is slow. Attaches the
 * consumers of queues that are not paused, detaches those of paused queues, and wakes those with due jobs. Calls
 * pg-boss's supervise for queues that have lost attempts or old counters. The first check must succeed. When a later
 * one fails, this is logged, and the next one tries again.
 */
export async function watchQueues(
  { pool, boss, log, config }: Pick<WorkerDeps, 'pool' | 'boss' | 'log' | 'config'>,
  watched: QueueName[],
  consumers: Pick<Consumers, 'attach' | 'detach' | 'wake' | 'workedAt'>,
): Promise<Watcher> {
  const movement = new Movement(watched);
  const attached = new Set<QueueName>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const supervision = new Supervision({ boss, log });

  async function check(): Promise<void> {
    const states = await readStates({ pool }, watched);
    if (states.some(({ ahead }) => ahead)) await repairFutureTimes({ pool, log });
    for (const { queue, paused, due_ms } of states) {
      if (stopped) return;
      if (paused === attached.has(queue)) await attachOrDetach(queue, paused);
      if (due_ms !== null && !paused) consumers.wake(queue, due_ms);
    }
    movement.record(states, (queue) => consumers.workedAt(queue));
    const unsupervised = states.filter(
      (state) =>
        state.lost ||
        (needsCounting(state, consumers.workedAt(state.queue)) &&
          !supervision.isResting(state.queue)),
    );
    if (!stopped) void supervision.start(unsupervised.map(({ queue }) => queue));
  }

  async function attachOrDetach(queue: QueueName, paused: boolean): Promise<void> {
    if (paused) {
      attached.delete(queue);
      await consumers.detach(queue);
      log.info({ queue }, 'queue paused');
    } else {
      await consumers.attach(queue);
      attached.add(queue);
    }
  }

  async function keepChecking(): Promise<void> {
    const started = performance.now();
    await check().catch((err: unknown) => log.warn({ err }, 'queues not checked'));
    const took = performance.now() - started;
    const rest = Math.min(restAfter(took), CHECK_REST_MS_MAX);
    if (!stopped) checkIn(Math.max(config.WORKER_POLL_SECONDS * 1000 - took, rest));
  }

  function checkIn(ms: number): void {
    timer = setTimeout(() => void keepChecking(), ms);
  }

  await check();
  checkIn(config.WORKER_POLL_SECONDS * 1000);
  function stop(): void {
    stopped = true;
    clearTimeout(timer);
  }
  return { stop, stuckQueues: () => movement.stuckQueues() };
}

/** Repairs the times that a step back of the server's clock has left in the future. */
async function repairFutureTimes({ pool, log }: Pick<Deps, 'pool' | 'log'>): Promise<void> {
  try {
    const rows = await pool.oneFirst(
      sql.type(RowsChanged)`SELECT rows_changed FROM repair_future_times()`,
    );
    if (rows > 0) log.warn({ rows }, 'the clock of the database has stepped back: queue repaired');
  } catch (err) {
    log.warn({ err }, 'times in the future not repaired');
  }
}

/** Whether the counters of a queue are old while its jobs change. */
function needsCounting(
  { counted_ms_ago, counted_late, due_ms, busy }: QueueState,
  workedAt: number,
): boolean {
  const workedMsAgo = performance.now() - workedAt;
  // Count once right after the work, and again LAST_COUNT_MS later, when pg-boss's count includes the last jobs.
  const countWantedMsAgo = workedMsAgo > LAST_COUNT_MS ? workedMsAgo - LAST_COUNT_MS : workedMsAgo;
  return counted_late && (due_ms !== null || busy || counted_ms_ago > countWantedMsAgo);
}

// Reads the first entry of each index range (the queue's _i14). So the cost does not depend on the length of the queue,
// unless an open transaction keeps dead entries before that one. An infinite time or an extreme count in one row does
// not make the check fail: a job counts as due for a year at most, and a count without a valid time counts as old.
function readStates(
  { pool }: Pick<Deps, 'pool'>,
  watched: QueueName[],
): Promise<readonly QueueState[]> {
  return pool.any(sql.type(QueueState)`
    SELECT q.name AS queue, p.queue IS NOT NULL AS paused,
      CASE WHEN least(fresh.start_after, retry.start_after) <= now()
        THEN (extract(epoch FROM
          now() - greatest(least(fresh.start_after, retry.start_after), now() - interval '1 year')) * 1000)::float8
      END AS due_ms,
      active.lost,
      coalesce(active.ahead OR last.created_on > now() + interval '5 seconds'
        OR greatest(q.monitor_claim_on, q.monitor_on, q.maintain_on) > now() + interval '5 seconds', false) AS ahead,
      active.jobs > 0 OR q.ready_count > 0 OR q.active_count > 0 AS busy,
      coalesce(extract(epoch FROM now() - counted.at) * 1000, 1e12)::float8 AS counted_ms_ago,
      coalesce(counted.at < now() - interval '1 second' * greatest(
        ${MONITOR_INTERVAL_SECONDS},
        (q.total_count::bigint - coalesce(q.retained_count, 0)) / ${COUNTED_PER_SECOND} -- without ended jobs
      ), true) AS counted_late
    FROM pgboss.queue AS q
    CROSS JOIN LATERAL (
      SELECT CASE WHEN isfinite(q.monitor_on) AND q.monitor_on < now() + interval '1 minute' THEN q.monitor_on END AS at
    ) AS counted
    LEFT JOIN paused_queues AS p ON p.queue = q.name
    LEFT JOIN LATERAL (
      SELECT j.start_after FROM pgboss.job AS j
      WHERE j.name = q.name AND j.state = 'created' AND NOT j.blocked ORDER BY j.start_after LIMIT 1
    ) AS fresh ON true
    LEFT JOIN LATERAL (
      SELECT j.start_after FROM pgboss.job AS j
      WHERE j.name = q.name AND j.state = 'retry' AND NOT j.blocked ORDER BY j.start_after LIMIT 1
    ) AS retry ON true
    LEFT JOIN LATERAL (
      SELECT j.created_on FROM pgboss.job AS j
      WHERE j.name = q.name AND j.state = 'created' AND NOT j.blocked
        AND j.start_after > now() + interval '5 seconds' ORDER BY j.start_after DESC LIMIT 1
    ) AS last ON true
    CROSS JOIN LATERAL (
      SELECT count(*) AS jobs, bool_or(greatest(j.started_on, j.heartbeat_on) > now() + interval '5 seconds') AS ahead,
        coalesce(bool_or(
        j.heartbeat_on + j.heartbeat_seconds * interval '1 second' < now()
        OR j.started_on + j.expire_seconds * interval '1 second' < now()
      ), false) AS lost
      FROM pgboss.job AS j
      WHERE j.name = q.name AND j.state = 'active'
    ) AS active
    WHERE q.name = ANY(${sql.array(watched, 'text')})
    ORDER BY q.name
    LIMIT ${watched.length}
  `);
}
