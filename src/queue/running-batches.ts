import { hostname } from 'node:os';
import type { Job as AnyJob } from 'pg-boss';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';

/** Rows of workers that ended longer ago than this are deleted. */
const KEEP_GONE_HOURS = 24;

type Job = Pick<AnyJob, 'id' | 'retryCount'>;

/** Do not record batches shorter than this: they have ended before an operator reads the row. */
const SHOW_AFTER_MS = 25;

/** Do not record an empty lane before this delay: most lanes have their next batch sooner. */
const HIDE_AFTER_MS = 100;

/** Records which jobs this process is working on. */
export type Holds = {
  /** Does the work, and records meanwhile that this process holds these jobs. */
  during: <T>(queue: string, lane: string, jobs: Job[], work: () => Promise<T>) => Promise<T>;
  /** From now on `during` resolves only after the empty lane is recorded, because the pool is about to close. */
  close: () => void;
};

type Hand = {
  lane: string;
  queue: string;
  jobs: Job[];
  shown: Job[];
  timer?: NodeJS.Timeout;
  writing: Promise<void>;
};

/**
 * Records which worker holds which job (table worker_holds), for operators: pg-boss records that a job is active, but
 * not which worker runs it. The work does not wait for these statements. A failure is logged, and the work goes on.
 */
export async function openHolds(deps: Pick<Deps, 'pool' | 'log'>): Promise<Holds> {
  const hands = new Map<string, Hand>();
  let id: string | null = null;
  let closing = false;

  async function write(hand: Hand): Promise<void> {
    const { jobs } = hand;
    if (jobs === hand.shown) return;
    try {
      id ??= await ownId(deps);
      if (id) await writeHolds(deps, { id, ...hand });
      hand.shown = jobs;
    } catch (err) {
      deps.log.warn({ err, queue: hand.queue }, 'jobs in hand not recorded');
    }
  }

  // One write after the other: two at once could arrive in the wrong order.
  function writeSoon(hand: Hand, delayMs: number): void {
    clearTimeout(hand.timer);
    hand.timer = setTimeout(() => {
      hand.writing = hand.writing.then(() => write(hand));
    }, delayMs);
  }

  await removeGone(deps).catch((err: unknown) => deps.log.warn({ err }, 'old holds not removed'));
  return {
    async during(queue, lane, jobs, work) {
      const hand = hands.get(lane) ?? newHand(queue, lane);
      hands.set(lane, hand);
      hand.jobs = jobs;
      writeSoon(hand, SHOW_AFTER_MS);
      try {
        return await work();
      } finally {
        hand.jobs = hand.shown.length > 0 ? [] : hand.shown;
        writeSoon(hand, HIDE_AFTER_MS);
        if (closing) {
          clearTimeout(hand.timer);
          await hand.writing;
          await write(hand);
        }
      }
    },
    close() {
      closing = true;
      for (const hand of hands.values()) if (hand.jobs.length === 0) clearTimeout(hand.timer);
    },
  };
}

function newHand(queue: string, lane: string): Hand {
  const empty: Job[] = [];
  return { queue, lane, jobs: empty, shown: empty, writing: Promise.resolve() };
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

// An empty lane keeps its row, so that the next batch is a heap-only update.
async function writeHolds(
  { pool }: Pick<Deps, 'pool'>,
  { id, queue, lane, jobs }: { id: string; queue: string; lane: string; jobs: Job[] },
): Promise<void> {
  const ids = jobs.map((job) => job.id);
  const attempts = jobs.map(({ retryCount }) => retryCount + 1);
  await pool.query(sql.unsafe`
    INSERT INTO worker_holds AS h (worker_id, lane, queue, job_ids, attempts)
    VALUES (${id}, ${lane}, ${queue}, ${sql.array(ids, 'uuid')}, ${sql.array(attempts, 'int4')})
    ON CONFLICT (worker_id, lane) DO UPDATE
    SET job_ids = EXCLUDED.job_ids, attempts = EXCLUDED.attempts, since = EXCLUDED.since
  `);
}

async function removeGone({ pool }: Pick<Deps, 'pool'>): Promise<void> {
  await pool.query(sql.unsafe`
    DELETE FROM worker_holds AS h
    WHERE NOT EXISTS (
      SELECT FROM pgboss.instance AS i
      WHERE i.id = h.worker_id
        AND coalesce(i.stopped_on, i.heartbeat_on) > now() - ${KEEP_GONE_HOURS} * interval '1 hour'
    )
  `);
}
