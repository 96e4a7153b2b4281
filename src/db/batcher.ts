/*
 * Group commit: while a transaction is in flight, arriving items wait, and the next transaction takes all of them.
 * There is no timer, and no setting depends on the load: a single item is committed at once; under load, the batches
 * grow until they keep up. (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
 */
import { ConnectionError } from 'slonik';
import { inHalves, type Step } from './halving.ts';

/**
 * The response that an outcome is for. It is destroyed when its client has disconnected. It is ended when the client
 * has got another reply, because its request took too long.
 */
export type Client = { readonly destroyed: boolean; readonly writableEnded: boolean };

type BatcherOptions<Item, Outcome> = {
  /** How many transactions may be in flight at once. */
  inFlightMax: number;
  /** How many items a transaction takes at most. */
  batchSizeMax: number;
  /** How many items may wait; more are refused. */
  waitingMax: number;
  /**
   * Commits items in one transaction. Returns the outcome of each, in order; an error is the error of that item alone.
   * Throws when nothing was committed, or when the connection was lost before the result arrived. `again`: the items
   * are part of a batch that failed, so wait only briefly for a lock.
   */
  commit: Step<Item, Outcome | Error>;
  /** Whether a single item can cause this error. If so, the halves of the batch are tried. */
  isItemError: (error: unknown) => boolean;
};

type WaitingItem<Item, Outcome> = {
  item: Item;
  client: Client | undefined;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
};

/** Commits items in batches. An item that cannot be committed does not make others fail. */
export class Batcher<Item, Outcome> {
  readonly #options: BatcherOptions<Item, Outcome>;
  #waiting: WaitingItem<Item, Outcome>[] = [];
  #inFlight = 0;
  readonly #calls = new Set<{ startedAt: number }>(); // the calls of `commit` in flight
  #starting = false;

  constructor(options: BatcherOptions<Item, Outcome>) {
    this.#options = options;
  }

  /**
   * Commits an item together with others. Rejects with the error of the item or of its batch, with `BatcherFull` when
   * too many items are waiting, or with `Abandoned` when the client disconnected or got another reply before the item's
   * turn.
   */
  add(item: Item, client?: Client): Promise<Outcome> {
    const { waitingMax } = this.#options;
    if (this.#waiting.length >= waitingMax) this.#dropAbandoned();
    if (this.#waiting.length >= waitingMax) return Promise.reject(new BatcherFull());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, client, resolve, reject });
      this.#startSoon();
    });
  }

  /** How many items wait for a transaction. */
  waiting(): number {
    return this.#waiting.length;
  }

  /** How long the oldest call of `commit` has been in flight; 0 when there is none. */
  oldestMs(): number {
    const [oldest] = this.#calls; // in the order of their start
    return oldest ? performance.now() - oldest.startedAt : 0;
  }

  // Delayed by one turn of the event loop, so that items of the same turn share a transaction.
  #startSoon(): void {
    if (this.#starting || this.#inFlight >= this.#options.inFlightMax) return;
    this.#starting = true;
    setImmediate(() => {
      this.#starting = false;
      void this.#keepCommitting();
    });
  }

  async #keepCommitting(): Promise<void> {
    this.#inFlight += 1;
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      if (this.#waiting.length > 0) this.#startSoon(); // more items than one transaction takes
      await this.#commitBatch(batch);
    }
    this.#inFlight -= 1;
  }

  #take(): WaitingItem<Item, Outcome>[] {
    this.#dropAbandoned();
    return this.#waiting.splice(0, this.#options.batchSizeMax);
  }

  #dropAbandoned(): void {
    if (!this.#waiting.some(isAbandoned)) return; // the usual case
    const { gone = [], there = [] } = Object.groupBy(this.#waiting, (item) =>
      isAbandoned(item) ? 'gone' : 'there',
    );
    rejectAll(gone, new Abandoned());
    this.#waiting = there;
  }

  async #commitBatch(batch: WaitingItem<Item, Outcome>[]): Promise<void> {
    const { commit, isItemError } = this.#options;
    const step: Step<WaitingItem<Item, Outcome>, Outcome | Error> = async (waiting, again) => {
      const call = { startedAt: performance.now() };
      this.#calls.add(call);
      try {
        return await commit(
          waiting.map(({ item }) => item),
          again,
        );
      } finally {
        this.#calls.delete(call);
      }
    };
    for await (const part of inHalves(batch, step, isItemError)) {
      if ('outcomes' in part) {
        settleEach(part.items, part.outcomes);
      } else {
        rejectAll(part.items, part.error);
        // Without a connection the waiting items would fail too: reject them at once.
        if (part.error instanceof ConnectionError) rejectAll(this.#waiting.splice(0), part.error);
      }
    }
  }
}

function isAbandoned({ client }: { client: Client | undefined }): boolean {
  return client !== undefined && (client.destroyed || client.writableEnded);
}

function settleEach<Outcome>(
  items: WaitingItem<unknown, Outcome>[],
  outcomes: (Outcome | Error)[],
): void {
  for (const [index, { resolve, reject }] of items.entries()) {
    const outcome = outcomes[index] as Outcome | Error;
    if (outcome instanceof Error) reject(outcome);
    else resolve(outcome);
  }
}

function rejectAll(items: Pick<WaitingItem<unknown, unknown>, 'reject'>[], error: unknown): void {
  for (const { reject } of items) reject(error);
}

/** Too many items are waiting. The item had no effect. */
export class BatcherFull extends Error {
  override name = 'BatcherFull';
}

/** The client disconnected or got another reply before the item's turn. The item had no effect. */
export class Abandoned extends Error {
  override name = 'Abandoned';
}
