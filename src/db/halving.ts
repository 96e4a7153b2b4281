/** What became of a part of a batch. `outcomes` has one entry per item, in order; a failed item's is its error. */
export type Part<Item, Outcome> = { items: Item[]; outcomes: (Outcome | Error)[] };

/** Commits items, all or none, and returns the outcome of each. `again`: they are part of a batch that failed. */
export type Step<Item, Outcome> = (items: Item[], again: boolean) => Promise<(Outcome | Error)[]>;

/**
 * Runs a step for a whole batch. When a single item can have made it fail, runs the step for each half, and so on: only
 * that item fails, at the cost of O(log n) further calls. Yields each part as soon as it is done. Any other error
 * becomes the outcome of all items of its part.
 */
export async function* inHalves<Item, Outcome>(
  items: Item[],
  step: Step<Item, Outcome>,
  isOneToBlame: (error: unknown) => boolean,
  again = false,
): AsyncGenerator<Part<Item, Outcome>> {
  let outcomes: (Outcome | Error)[];
  try {
    outcomes = await step(items, again);
  } catch (error) {
    if (items.length > 1 && isOneToBlame(error)) {
      const middle = Math.ceil(items.length / 2);
      yield* inHalves(items.slice(0, middle), step, isOneToBlame, true);
      yield* inHalves(items.slice(middle), step, isOneToBlame, true);
      return;
    }
    const failure = error instanceof Error ? error : new Error(String(error));
    outcomes = items.map(() => failure);
  }
  yield { items, outcomes };
}
