/** Does one thing for all items, or nothing. `again`: the items are part of a batch that has failed. */
export type Step<Item, Outcome> = (items: Item[], again: boolean) => Promise<Outcome[]>;

/** A part of a batch that is done: the outcome of each item, in order, or the error that made all of them fail. */
type Part<Item, Outcome> =
  { items: Item[]; outcomes: Outcome[] } | { items: Item[]; error: unknown };

/**
 * Runs a step for a batch. When the step fails, and a single item can be the cause, runs it for each half, and so on,
 * until only such items fail. For one such item, that takes at most 2 × ⌈log₂ n⌉ more calls. Any other error fails the
 * whole part. Yields each part as soon as it is done, in the order of the items.
 */
export async function* inHalves<Item, Outcome>(
  items: Item[],
  step: Step<Item, Outcome>,
  isItemError: (error: unknown) => boolean,
  again = false,
): AsyncGenerator<Part<Item, Outcome>> {
  let part: Part<Item, Outcome>;
  try {
    part = { items, outcomes: await step(items, again) };
  } catch (error) {
    if (items.length > 1 && isItemError(error)) {
      const middle = Math.ceil(items.length / 2);
      yield* inHalves(items.slice(0, middle), step, isItemError, true);
      yield* inHalves(items.slice(middle), step, isItemError, true);
      return;
    }
    part = { items, error };
  }
  yield part;
}
