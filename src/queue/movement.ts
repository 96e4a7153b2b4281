import type { QueueName } from '../../jobs/queues.ts';

/** After this long without work on a queue with due jobs, it is stuck. Longer than any external call (30 s at most). */
const STUCK_MS = 60_000;

/** After this long without a check of the queues, all of them count as stuck. */
const UNCHECKED_MS = 15_000;

/** `due_ms`: how long the oldest job has been due; null when none is. */
type QueueState = { queue: QueueName; paused: boolean; due_ms: number | null };

/** Finds queues with due jobs on which this worker does not work. The watcher records each check. Times are in ms. */
export class Movement {
  readonly #watched: readonly QueueName[];
  readonly #dueSince = new Map<QueueName, number>();
  #checkedAt: number;

  constructor(watched: readonly QueueName[], now = performance.now()) {
    this.#watched = watched;
    this.#checkedAt = now;
  }

  /** Records a check. `workedAt`: when this worker last began or ended work on a queue. */
  record(
    states: readonly QueueState[],
    workedAt: (queue: QueueName) => number,
    now = performance.now(),
  ): void {
    this.#checkedAt = now;
    for (const { queue, paused, due_ms } of states) {
      const since = this.#dueSince.get(queue) ?? now;
      if (paused || due_ms === null) this.#dueSince.delete(queue);
      else this.#dueSince.set(queue, Math.max(since, workedAt(queue)));
    }
  }

  /** The queues that are stuck in this worker. */
  stuckQueues(now = performance.now()): string[] {
    if (now - this.#checkedAt > UNCHECKED_MS) return [...this.#watched];
    return this.#watched.filter((queue) => now - (this.#dueSince.get(queue) ?? now) > STUCK_MS);
  }
}
