import { hostname } from 'node:os';
import type { Job as AnyJob } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';

/** Rows of workers that ended longer ago than this are deleted. */
const KEEP_ENDED_HOURS = 24;

/** Do not record batches shorter than this: they have ended before an operator reads the row. */
const RECORD_AFTER_MS = 25;

/** Do not record that a poller is idle before this delay: most pollers have their next batch sooner. */
const RECORD_IDLE_AFTER_MS = 100;

type Job = Pick<AnyJob, 'id' | 'retryCount'>;

/** Records which jobs each poller of this process is working on. */
export type RunningBatches = {
  /** Returns names for the pollers of a queue, by number. They differ from the names of earlier calls. */
  namePollers: (queue: string) => (poller: number) => string;
  /** Runs a batch, and records meanwhile that the poller is working on these jobs. */
  during: <T>(queue: string, poller: string, jobs: Job[], run: () => Promise<T>) => Promise<T>;
  /** From now on `during` resolves only after the end is recorded, because the pool is about to close. */
  close: () => void;
};

/** A poller, the jobs it is working on, and the jobs of its row. */
type Entry = {
  poller: string;
  queue: string;
  jobs: Job[];
  recorded: Job[];
  timer?: NodeJS.Timeout;
  writing: Promise<void>;
};

/**
 * Keeps the table running_batches, for operators: pg-boss records that a job is active, but not which worker runs it.
 * The work does not wait for these statements. A failure is logged, and the work goes on.
 */
export async function openRunningBatches(
  deps: Pick<Deps, 'pool' | 'log'>,
): Promise<RunningBatches> {
  const entries = new Map<string, Entry>();
  let workerId: string | null = null;
  let closing = false;
  let named = 0;

  async function write(entry: Entry): Promise<void> {
    const { jobs } = entry;
    if (jobs === entry.recorded) return;
    try {
      workerId ??= await ownId(deps);
      if (workerId) await writeBatch(deps, workerId, entry);
      entry.recorded = jobs;
    } catch (err) {
      deps.log.warn({ err, queue: entry.queue }, 'running batch not recorded');
    }
  }

  // One write after the other: two at once could arrive in the wrong order.
  function writeSoon(entry: Entry, delayMs: number): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      entry.writing = entry.writing.then(() => write(entry));
    }, delayMs);
  }

  await removeEnded(deps).catch((err: unknown) => deps.log.warn({ err }, 'old rows not removed'));
  return {
    namePollers(queue) {
      const opening = (named += 1); // pollers from before a pause may still be running
      return (poller) => `${queue}/${opening}.${poller}`;
    },
    async during(queue, poller, jobs, run) {
      const entry = entries.get(poller) ?? idle(queue, poller);
      entries.set(poller, entry);
      entry.jobs = jobs;
      writeSoon(entry, RECORD_AFTER_MS);
      try {
        return await run();
      } finally {
        entry.jobs = entry.recorded.length > 0 ? [] : entry.recorded;
        writeSoon(entry, RECORD_IDLE_AFTER_MS);
        if (closing) {
          clearTimeout(entry.timer);
          await entry.writing;
          await write(entry);
        }
      }
    },
    close() {
      closing = true;
      for (const { jobs, timer } of entries.values()) if (jobs.length === 0) clearTimeout(timer);
    },
  };
}

function idle(queue: string, poller: string): Entry {
  const none: Job[] = [];
  return { queue, poller, jobs: none, recorded: none, writing: Promise.resolve() };
}

/** The id of this process in pg-boss's registry, which pg-boss does not expose; null when it has none yet. */
async function ownId({ pool }: Pick<Deps, 'pool'>): Promise<string | null> {
  // The newest, because in a container every process before this one had the same host and pid.
  return pool.maybeOneFirst(sql.type(z.object({ id: z.guid() }))`
    SELECT id FROM pgboss.instance
    WHERE name = 'worker' AND host = ${hostname()} AND pid = ${process.pid} AND stopped_on IS NULL
    ORDER BY started_on DESC
    LIMIT 1
  `);
}

// The row of an idle poller stays, so that the next batch is a heap-only update.
async function writeBatch(
  { pool }: Pick<Deps, 'pool'>,
  workerId: string,
  { queue, poller, jobs }: Entry,
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
