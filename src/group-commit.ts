/*
 * Group commit: while a transaction is in flight, whatever arrives collects, and the next transaction takes
 * all of it. There is no timer and nothing to tune by load: alone, an item goes at once; under pressure, the
 * batches grow until they keep up. (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", 1984.)
 */
import { ConnectionError } from 'slonik';

export type GroupCommit<Item, Outcome> = {
  /**
   * Has an item committed with others. Rejects with what stood in its own way, with `GroupFull` when too
   * many are waiting, or with `Abandoned` when its caller was gone before its turn.
   */
  add(item: Item, caller?: Caller): Promise<Outcome>;
  /** How many wait for a transaction to take them. */
  waiting(): number;
};

/** Whoever is to be told; a response that is destroyed has nobody left at its other end. */
export type Caller = { readonly destroyed: boolean };

type Options<Item, Outcome> = {
  /** How many transactions may be in flight at once. */
  lanes: number;
  /** How many items a transaction takes at most. */
  sizeMax: number;
  /** How many items may wait; more are refused. */
  waitingMax: number;
  /**
   * Commits items in one transaction. Says of each, in order, what became of it; throws when nothing did. `again`:
   * they were part of a batch that failed, so what it has waited for in vain is not worth waiting for any more.
   */
  commit: (items: Item[], again: boolean) => Promise<(Outcome | Error)[]>;
  /** Whether one of several items may be to blame for what was thrown, so that halves are worth a try. */
  isOneToBlame: (error: unknown) => boolean;
};

type Entry<Item, Outcome> = {
  item: Item;
  caller: Caller | undefined;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
};

/** Collects items for `commit`. An item that fails never takes its neighbours with it. */
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

  // Not at once: what has arrived in the same turn of the event loop goes along.
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
      if (waiting.length > 0) startLane(); // more than one transaction takes
      await settle(batch);
    }
    busy -= 1;
  }

  function take(): Entries {
    dropAbandoned();
    return waiting.splice(0, sizeMax);
  }

  function dropAbandoned(): void {
    if (!waiting.some(({ caller }) => caller?.destroyed)) return; // nearly always, and at no cost
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
      // Without a connection those who wait would fare no better, and need not be kept waiting for it.
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

/** Too many wait already. Nothing was done with the item. */
export class GroupFull extends Error {
  override name = 'GroupFull';
}

/** The caller was gone before the item's turn. Nothing was done with it. */
export class Abandoned extends Error {
  override name = 'Abandoned';
}
