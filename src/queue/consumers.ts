import type { QueueName } from '../../jobs/queues.ts';
import type { WorkerDeps } from '../deps.ts';

/** Processes one queue in this process. It exists while the queue is not paused. */
export type Consumer = {
  /** There may be due jobs. `dueMs`: how long the oldest one has been due, if that is known. */
  wake(dueMs?: number): void;
  /** Begins no further batch. Resolves when the batches without claims have ended. */
  close(): Promise<void>;
};

/** Opens the consumer of a queue, which calls `onWork` when it begins or ends work. */
type OpenConsumer = (queue: QueueName, onWork: () => void) => Promise<Consumer>;

/** The consumers of this process, by queue. */
export class Consumers {
  readonly #deps: Pick<WorkerDeps, 'boss'>;
  readonly #open: OpenConsumer;
  readonly #consumers = new Map<string, Consumer>();
  readonly #workedAt = new Map<QueueName, number>();

  constructor(deps: Pick<WorkerDeps, 'boss'>, open: OpenConsumer) {
    this.#deps = deps;
    this.#open = open;
  }

  /** Begins to process a queue that is not paused. */
  async attach(queue: QueueName): Promise<void> {
    const onWork = () => this.#workedAt.set(queue, performance.now());
    this.#consumers.set(queue, await this.#open(queue, onWork));
  }

  /** Stops processing a queue that was paused. Jobs that are already claimed are still finished. */
  async detach(queue: QueueName): Promise<void> {
    const closing = this.#consumers.get(queue)?.close();
    this.#consumers.delete(queue);
    await this.#deps.boss.offWork(queue, { wait: false });
    await closing;
  }

  /** Wakes the consumer of a queue, if there is one. */
  wake(queue: string, dueMs?: number): void {
    this.#consumers.get(queue)?.wake(dueMs);
  }

  /** When this process last began or ended work on the queue, by performance.now(). */
  workedAt(queue: QueueName): number {
    return this.#workedAt.get(queue) ?? Number.NEGATIVE_INFINITY;
  }

  /** Closes all consumers. Batches with a claim may still be in progress: `boss.stop` waits for them. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#consumers.values(), (consumer) => consumer.close()));
  }
}
