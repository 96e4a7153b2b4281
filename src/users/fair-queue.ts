import { Problem } from '../http/problem.ts';

/** For whom work waits: the network, which takes turns, and the response, destroyed when the client disconnects. */
export type Caller = { network: string; response?: { readonly destroyed: boolean } | undefined };

type Bounds = {
  /** How many pieces of work run at once. */
  concurrency: number;
  /** How many pieces of work may wait: in total, and for one network. */
  waitingMax: number;
  networkWaitingMax: number;
};

type Waiting = { response: Caller['response']; start: () => void; refuse: (error: Error) => void };

/**
 * A queue in which networks take turns, so a network that sends much work delays only its own work. When the queue is
 * full, work of a network with the most work in the queue is refused with `overloaded`. Work whose client has
 * disconnected is dropped when its turn comes.
 */
export class FairQueue {
  readonly #bounds: Bounds;
  /** The waiting work of each network. The order of the networks is the order of their turns. */
  readonly #networks = new Map<string, Waiting[]>();
  #running = 0;
  #waiting = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Runs the work when its turn comes. Rejects as the work does, or with `overloaded`. */
  async run<T>(caller: Caller, work: () => Promise<T>): Promise<T> {
    await this.#turn(caller);
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#startNext();
    }
  }

  #turn({ network, response }: Caller): Promise<void> {
    if (this.#running < this.#bounds.concurrency) {
      this.#running += 1;
      return Promise.resolve();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const queue = this.#networks.get(network) ?? [];
    this.#makeRoom(queue);
    this.#networks.set(network, queue);
    queue.push({ response, start: resolve, refuse: reject });
    this.#waiting += 1;
    return promise;
  }

  /**
   * Throws when the queue of the network is full, or all queues together are. In the second case, when another network
   * has at least two more pieces of waiting work, refuses the newest of them instead.
   */
  #makeRoom(queue: readonly Waiting[]): void {
    if (queue.length >= this.#bounds.networkWaitingMax) throw new Problem('overloaded');
    if (this.#waiting < this.#bounds.waitingMax) return;
    const [network, longest] = [...this.#networks].reduce((most, other) =>
      other[1].length > most[1].length ? other : most,
    );
    if (longest.length <= queue.length + 1) throw new Problem('overloaded');
    longest.pop()?.refuse(new Problem('overloaded'));
    this.#waiting -= 1;
    if (longest.length === 0) this.#networks.delete(network);
  }

  #startNext(): void {
    for (const [network, queue] of this.#networks) {
      const next = queue.shift();
      this.#waiting -= 1;
      this.#networks.delete(network);
      if (queue.length > 0) this.#networks.set(network, queue); // now the last in turn
      if (next?.response?.destroyed) {
        next.refuse(new Problem('overloaded', 'The client disconnected.'));
        continue;
      }
      this.#running += 1;
      next?.start();
      return;
    }
  }
}
