import type { QueueName } from '../../jobs/queues.ts';

/** A queue with due jobs on which a worker does nothing for this long is stuck. An external call takes 30 s at most. */
const STUCK_MS = 60_000;

/** Without a check of the queues for this long, none of them can be called moving. */
const UNCHECKED_MS = 15_000;

/** `due_ms`: how long the oldest job has been due; null when none is. */
type QueueState = { queue: QueueName; paused: boolean; due_ms: number | null };

/** Whether this worker works on the queues that have due jobs. The watcher reports each check. Times are in ms. */
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

  /** The queues on which this worker should have done something by now. */
  stuckQueues(now = performance.now()): string[] {
    if (now - this.#checkedAt > UNCHECKED_MS) return [...this.#watched];
    return this.#watched.filter((queue) => now - (this.#dueSince.get(queue) ?? now) > STUCK_MS);
  }
}
