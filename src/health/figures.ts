import { sql } from 'slonik';
import { z } from 'zod';
import { INVARIANTS } from '../audit/check.ts';
import type { Deps } from '../deps.ts';
import { restAfter } from '../rest.ts';

/** Figures that are younger than this are not read again. */
const REST_MS_MIN = 5_000;

const Backlog = z.object({
  queue: z.string(),
  ready: z.int(),
  deferred: z.int(),
  active: z.int(),
  failed: z.int(),
  at_least: z.boolean(),
  oldest_ready_seconds: z.number(),
  workers: z.int(),
});

const AuditRun = z.object({
  finished_at: z.iso.datetime(),
  violations: z.record(z.string(), z.int()),
});

/** A setting of the server that can lose acknowledged orders, and in which event. */
export const Risk = z.object({
  setting: z.string(),
  value: z.string(),
  event: z.string(),
  meaning: z.string(),
});
export type Risk = z.infer<typeof Risk>;

/** What this process has read from the database for its metrics, and how old it is. */
export class Figures {
  readonly #deps: Pick<Deps, 'pool' | 'metrics' | 'log'>;
  #reading: Promise<void> | null = null;
  #restUntil = 0;
  #readAt: number | null = null;
  readonly #createdAt = performance.now();
  #risks: readonly Risk[] | null = null;

  constructor(deps: Pick<Deps, 'pool' | 'metrics' | 'log'>) {
    this.#deps = deps;
  }

  /** Reads the figures again if they are old enough. Never rejects: figures that cannot be read keep their values. */
  refresh(): Promise<void> {
    if (this.#reading !== null || performance.now() < this.#restUntil)
      return this.#reading ?? Promise.resolve();
    const started = performance.now();
    this.#reading = this.#read()
      .then(() => {
        this.#readAt = started;
      })
      .catch((err: unknown) => this.#deps.log.debug({ err }, 'figures not read'))
      .finally(() => {
        const rest = Math.max(restAfter(performance.now() - started), REST_MS_MIN);
        // After a failure there is no rest: the next caller tries again.
        if (this.#readAt === started) this.#restUntil = performance.now() + rest;
        this.#reading = null;
      });
    return this.#reading;
  }

  /** How old the figures are, in seconds. Before the first ones, how long they have been missing. */
  ageSeconds(): number {
    return (performance.now() - (this.#readAt ?? this.#createdAt)) / 1000;
  }

  /** The settings of the server that can lose acknowledged orders. Null while they are unknown. */
  risks(): readonly Risk[] | null {
    return this.#risks;
  }

  async #read(): Promise<void> {
    await readBacklog(this.#deps);
    await readAuditRun(this.#deps);
    this.#risks = await this.#deps.pool.any(sql.type(Risk)`
      SELECT setting, value, event, meaning FROM ops.durability WHERE NOT safe
    `);
  }
}

async function readBacklog({ pool, metrics }: Pick<Deps, 'pool' | 'metrics'>): Promise<void> {
  const queues = await pool.any(sql.type(Backlog)`
    SELECT queue_name AS queue, ready, deferred, active, failed, at_least,
      coalesce(extract(epoch FROM oldest_ready), 0)::float8 AS oldest_ready_seconds, workers
    FROM ops.backlog()
  `);
  for (const { queue, oldest_ready_seconds, at_least, workers, ...counts } of queues) {
    metrics.queueOldestSeconds.set({ queue }, oldest_ready_seconds);
    metrics.queueAtLeast.set({ queue }, Number(at_least));
    metrics.queueWorkers.set({ queue }, workers);
    for (const [state, count] of Object.entries(counts))
      metrics.queueJobs.set({ queue, state }, count);
  }
}

/** Reads the newest scheduled audit. An invariant that holds has 0 violations. Before the first audit, sets nothing. */
async function readAuditRun({ pool, metrics }: Pick<Deps, 'pool' | 'metrics'>): Promise<void> {
  const run = await pool.maybeOne(sql.type(AuditRun)`
    SELECT finished_at, violations FROM audit.runs ORDER BY id DESC LIMIT 1
  `);
  if (!run) return;
  metrics.auditFinished.set(Date.parse(run.finished_at) / 1000);
  for (const invariant of INVARIANTS)
    metrics.auditViolations.set({ invariant }, run.violations[invariant] ?? 0);
}
