import { hostname } from 'node:os';
import type { JobAttempt } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';

/** Rows of workers that ended longer ago than this are deleted. */
const KEEP_ENDED_HOURS = 24;

/** Do not record a batch that is shorter than this: it has ended before an operator can read its row. */
const RECORD_AFTER_MS = 25;

/** Record that a poller is idle only after this delay: most pollers have their next batch sooner. */
const RECORD_IDLE_AFTER_MS = 100;

/** Records which jobs each poller of this process is working on. */
export type RunningBatches = {
  /** Returns a function that names the pollers of a queue, by number. Each call makes new names. */
  namePollers: (queue: string) => (poller: number) => string;
  /** Runs a batch, and records meanwhile that the poller is working on these jobs. */
  during: <T>(
    queue: string,
    poller: string,
    jobs: JobAttempt[],
    run: () => Promise<T>,
  ) => Promise<T>;
  /** From now on `during` resolves only after the end is recorded, because the pool is about to close. */
  close: () => void;
};

/** A poller, the jobs it is working on, and the jobs in its row (`recorded`). */
type PollerState = {
  poller: string;
  queue: string;
  jobs: JobAttempt[];
  recorded: JobAttempt[];
  timer?: NodeJS.Timeout;
  writing: Promise<void>;
};

/**
 * Keeps the table running_batches, for operators: pg-boss records that a job is active, but not which worker runs it.
 * The batches do not wait for these statements. When one fails, this is logged, and the batch goes on.
 */
export async function openRunningBatches(
  deps: Pick<Deps, 'pool' | 'log'>,
): Promise<RunningBatches> {
  const pollers = new Map<string, PollerState>();
  let workerId: string | null = null;
  let closing = false;
  let named = 0;

  async function write(state: PollerState): Promise<void> {
    const { jobs } = state;
    if (jobs === state.recorded) return;
    try {
      workerId ??= await ownId(deps);
      if (workerId) await writeBatch(deps, workerId, state);
      state.recorded = jobs;
    } catch (err) {
      deps.log.warn({ err, queue: state.queue }, 'running batch not recorded');
    }
  }

  // One write at a time for each poller: two could arrive in the wrong order.
  function writeSoon(state: PollerState, delayMs: number): void {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => {
      state.writing = state.writing.then(() => write(state));
    }, delayMs);
  }

  await removeEnded(deps).catch((err: unknown) =>
    deps.log.warn({ err }, 'rows of ended workers not removed'),
  );
  return {
    namePollers(queue) {
      const opening = (named += 1); // pollers from before a pause may still be running
      return (poller) => `${queue}/${opening}.${poller}`;
    },
    async during(queue, poller, jobs, run) {
      const state = pollers.get(poller) ?? idle(queue, poller);
      pollers.set(poller, state);
      state.jobs = jobs;
      writeSoon(state, RECORD_AFTER_MS);
      try {
        return await run();
      } finally {
        // If its row has no jobs, there is nothing to write.
        state.jobs = state.recorded.length > 0 ? [] : state.recorded;
        writeSoon(state, RECORD_IDLE_AFTER_MS);
        if (closing) {
          clearTimeout(state.timer);
          await state.writing;
          await write(state);
        }
      }
    },
    close() {
      closing = true;
      for (const { jobs, timer } of pollers.values()) if (jobs.length === 0) clearTimeout(timer);
    },
  };
}

function idle(queue: string, poller: string): PollerState {
  const none: JobAttempt[] = [];
  return { queue, poller, jobs: none, recorded: none, writing: Promise.resolve() };
}

/** The id of this process in pg-boss's registry, or null before it is registered. pg-boss does not expose it. */
async function ownId({ pool }: Pick<Deps, 'pool'>): Promise<string | null> {
  // The newest one: in a container, all earlier processes can have had the same host and pid.
  return pool.maybeOneFirst(sql.type(z.object({ id: z.guid() }))`
    SELECT id FROM pgboss.instance
    WHERE name = 'worker' AND host = ${hostname()} AND pid = ${process.pid} AND stopped_on IS NULL
    ORDER BY started_on DESC
    LIMIT 1
  `);
}

// The row of an idle poller is kept, so that writing the next batch is a heap-only update.
async function writeBatch(
  { pool }: Pick<Deps, 'pool'>,
  workerId: string,
  { queue, poller, jobs }: PollerState,
): Promise<void> {
  const ids = jobs.map((job) => job.id);
  const attempts = jobs.map(({ retryCount }) => retryCount + 1);
  await pool.query(sql.unsafe`
    INSERT INTO running_batches AS b (worker_id, poller, queue, job_ids, attempts)
    VALUES (${workerId}, ${poller}, ${queue}, ${sql.array(ids, 'uuid')}, ${sql.array(attempts, 'int4')})
    ON CONFLICT (worker_id, poller) DO UPDATE
    SET job_ids = EXCLUDED.job_ids, attempts = EXCLUDED.attempts, since = EXCLUDED.since
  `);
}

async function removeEnded({ pool }: Pick<Deps, 'pool'>): Promise<void> {
  await pool.query(sql.unsafe`
    DELETE FROM running_batches AS b
    WHERE NOT EXISTS (
      SELECT FROM pgboss.instance AS i
      WHERE i.id = b.worker_id
        AND coalesce(i.stopped_on, i.heartbeat_on) > now() - ${KEEP_ENDED_HOURS} * interval '1 hour'
    )
  `);
}
