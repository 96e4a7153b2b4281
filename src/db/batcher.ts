/*
 * Group commit: while a transaction is in flight, arriving items collect, and the next transaction takes all of them.
 * There is no timer and no setting that depends on load: a single item is sent at once; under load, the batches grow
 * until they keep up. (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", 1984.)
 */
import { ConnectionError } from 'slonik';
import { inHalves, type Step } from './halving.ts';

export type Batcher<Item, Outcome> = {
  /**
   * Commits an item together with others. Rejects with the item's own error, with `BatcherFull` when too many are
   * waiting, or with `ClientGone` when its client disconnected before its turn.
   */
  add(item: Item, client?: Client): Promise<Outcome>;
  /** How many items wait for a transaction. */
  waiting(): number;
};

/** The response that an outcome is for. It is destroyed when its client has disconnected. */
export type Client = { readonly destroyed: boolean };

type Options<Item, Outcome> = {
  /** How many transactions may be in flight at once. */
  inFlightMax: number;
  /** How many items a transaction takes at most. */
  batchSizeMax: number;
  /** How many items may wait; more are refused. */
  waitingMax: number;
  /**
   * Commits items in one transaction. Returns the outcome of each, in order; throws when nothing was committed.
   * `again`: the items were part of a batch that failed, so a lock that it waited for is not worth a long wait.
   */
  commit: Step<Item, Outcome>;
  /** Whether a single item can have caused the error, so that the halves of the batch are tried. */
  isOneToBlame: (error: unknown) => boolean;
};

type Entry<Item, Outcome> = {
  item: Item;
  client: Client | undefined;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
};

/** Collects items for `commit`. An item that fails does not make others fail. */
export function createBatcher<Item, Outcome>({
  inFlightMax,
  batchSizeMax,
  waitingMax,
  commit,
  isOneToBlame,
}: Options<Item, Outcome>): Batcher<Item, Outcome> {
  type Entries = Entry<Item, Outcome>[];
  let waiting: Entries = [];
  let inFlight = 0;
  let starting = false;

  function add(item: Item, client?: Client): Promise<Outcome> {
    if (waiting.length >= waitingMax) dropAbandoned();
    if (waiting.length >= waitingMax) return Promise.reject(new BatcherFull());
    return new Promise((resolve, reject) => {
      waiting.push({ item, client, resolve, reject });
      startSoon();
    });
  }

  // Delayed by one turn of the event loop, so that items of the same turn share a transaction.
  function startSoon(): void {
    if (starting || inFlight >= inFlightMax) return;
    starting = true;
    setImmediate(() => {
      starting = false;
      void keepCommitting();
    });
  }

  async function keepCommitting(): Promise<void> {
    inFlight += 1;
    for (let batch = take(); batch.length > 0; batch = take()) {
      if (waiting.length > 0) startSoon(); // more items than one transaction takes
      await commitBatch(batch);
    }
    inFlight -= 1;
  }

  function take(): Entries {
    dropAbandoned();
    return waiting.splice(0, batchSizeMax);
  }

  function dropAbandoned(): void {
    if (!waiting.some(({ client }) => client?.destroyed)) return; // the usual case
    const { gone = [], there = [] } = Object.groupBy(waiting, ({ client }) =>
      client?.destroyed ? 'gone' : 'there',
    );
    for (const { reject } of gone) reject(new ClientGone());
    waiting = there;
  }

  async function commitBatch(batch: Entries): Promise<void> {
    const step = (entries: Entries, again: boolean) =>
      commit(
        entries.map(({ item }) => item),
        again,
      );
    for await (const { items: entries, outcomes } of inHalves(batch, step, isOneToBlame)) {
      for (const [index, { resolve, reject }] of entries.entries()) {
        const outcome = outcomes[index] as Outcome | Error;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      }
      // Without a connection the waiting items would fail too: reject them at once.
      const [first] = outcomes;
      if (first instanceof ConnectionError) {
        for (const { reject } of waiting.splice(0)) reject(first);
      }
    }
  }

  return { add, waiting: () => waiting.length };
}

/** Too many items are waiting. The item had no effect. */
export class BatcherFull extends Error {
  override name = 'BatcherFull';
}

/** The client disconnected before the item's turn. The item had no effect. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}
