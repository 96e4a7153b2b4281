import type { QueueName } from '../../jobs/queues.ts';
import type { WorkerDeps } from '../deps.ts';
import { restAfter } from '../rest.ts';

/** Calls pg-boss's supervise for queues: it fails lost attempts, and counts jobs. */
export class Supervision {
  readonly #deps: Pick<WorkerDeps, 'boss' | 'log'>;
  readonly #restUntil = new Map<QueueName, number>();
  #busy = false;

  constructor(deps: Pick<WorkerDeps, 'boss' | 'log'>) {
    this.#deps = deps;
  }

  /** Makes one call per queue, so that each queue has its own rest. Does nothing while earlier calls run. */
  async start(supervised: QueueName[]): Promise<void> {
    const { boss, log } = this.#deps;
    if (this.#busy) return;
    this.#busy = true;
    for (const queue of supervised) {
      const started = performance.now();
      await boss
        .supervise(queue)
        .catch((err: unknown) => log.warn({ err, queue }, 'queue not supervised'));
      const ended = performance.now();
      this.#restUntil.set(queue, ended + restAfter(ended - started));
    }
    this.#busy = false;
  }

  /** Whether the queue still rests after its last call. */
  isResting(queue: QueueName): boolean {
    return performance.now() < (this.#restUntil.get(queue) ?? 0);
  }
}
