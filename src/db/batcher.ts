/*
 * Group commit: while a transaction is in flight, arriving items collect, and the next transaction takes all of them.
 * There is no timer and no setting that depends on load: a single item is sent at once; under load, the batches grow
 * until they keep up. (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", 1984.)
 */
import { ConnectionError } from 'slonik';

export type GroupCommit<Item, Outcome> = {
  /**
   * Commits an item together with others. Rejects with the item's own error, with `GroupFull` when too many are
   * waiting, or with `Abandoned` when its caller disconnected before its turn.
   */
  add(item: Item, caller?: Caller): Promise<Outcome>;
  /** How many items wait for a transaction. */
  waiting(): number;
};

/** The response that the result is for. It is destroyed when the client has disconnected. */
export type Caller = { readonly destroyed: boolean };

type Options<Item, Outcome> = {
  /** How many transactions may be in flight at once. */
  lanes: number;
  /** How many items a transaction takes at most. */
  sizeMax: number;
  /** How many items may wait; more are refused. */
  waitingMax: number;
  /**
   * Commits items in one transaction. Returns the outcome of each, in order; throws when nothing was committed.
   * `again`: the items were part of a batch that failed, so a lock that it waited for is not worth a long wait.
   */
  commit: (items: Item[], again: boolean) => Promise<(Outcome | Error)[]>;
  /** Whether a single item can have caused the error, so that the halves of the batch are tried. */
  isOneToBlame: (error: unknown) => boolean;
};

type Entry<Item, Outcome> = {
  item: Item;
  caller: Caller | undefined;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
};

/** Collects items for `commit`. An item that fails does not make others fail. */
export function createGroupCommit<Item, Outcome>({
  lanes,
  sizeMax,
  waitingMax,
  commit,
  isOneToBlame,
}: Options<Item, Outcome>): GroupCommit<Item, Outcome> {
  type Entries = Entry<Item, Outcome>[];
  let waiting: Entries = [];
  let busy = 0;
  let starting = false;

  function add(item: Item, caller?: Caller): Promise<Outcome> {
    if (waiting.length >= waitingMax) dropAbandoned();
    if (waiting.length >= waitingMax) return Promise.reject(new GroupFull());
    return new Promise((resolve, reject) => {
      waiting.push({ item, caller, resolve, reject });
      startLane();
    });
  }

  // Delayed by one turn of the event loop, so that items of the same turn share a transaction.
  function startLane(): void {
    if (starting || busy >= lanes) return;
    starting = true;
    setImmediate(() => {
      starting = false;
      void runLane();
    });
  }

  async function runLane(): Promise<void> {
    busy += 1;
    for (let batch = take(); batch.length > 0; batch = take()) {
      if (waiting.length > 0) startLane(); // more items than one transaction takes
      await settle(batch);
    }
    busy -= 1;
  }

  function take(): Entries {
    dropAbandoned();
    return waiting.splice(0, sizeMax);
  }

  function dropAbandoned(): void {
    if (!waiting.some(({ caller }) => caller?.destroyed)) return; // the usual case
    const { gone = [], there = [] } = Object.groupBy(waiting, ({ caller }) =>
      caller?.destroyed ? 'gone' : 'there',
    );
    for (const { reject } of gone) reject(new Abandoned());
    waiting = there;
  }

  async function settle(entries: Entries, again = false): Promise<void> {
    let outcomes: (Outcome | Error)[];
    try {
      outcomes = await commit(
        entries.map(({ item }) => item),
        again,
      );
    } catch (error) {
      if (entries.length > 1 && isOneToBlame(error)) {
        const middle = Math.ceil(entries.length / 2);
        await settle(entries.slice(0, middle), true);
        await settle(entries.slice(middle), true);
        return;
      }
      // Without a connection the waiting items would fail too: reject them at once.
      const isHopeless = error instanceof ConnectionError;
      const failed = isHopeless ? [...entries, ...waiting.splice(0)] : entries;
      for (const { reject } of failed) reject(error);
      return;
    }
    for (const [index, { resolve, reject }] of entries.entries()) {
      const outcome = outcomes[index] as Outcome | Error;
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    }
  }

  return { add, waiting: () => waiting.length };
}

/** Too many items are waiting. The item had no effect. */
export class GroupFull extends Error {
  override name = 'GroupFull';
}

/** The caller disconnected before the item's turn. The item had no effect. */
export class Abandoned extends Error {
  override name = 'Abandoned';
}
