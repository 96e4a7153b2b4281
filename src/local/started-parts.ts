/** The parts that `npm start` has started, and has to stop. */
export type StartedParts = {
  /** Adds the function that stops a part. */
  add: (stop: () => Promise<void> | void) => void;
  /** Stops all parts, the last one first. When called again, waits for the same stop. */
  stop: () => Promise<void>;
};

/** An empty list of started parts. */
export function createStartedParts(): StartedParts {
  const parts = new AsyncDisposableStack();
  let stopped: Promise<void> | undefined;
  return {
    add: (stop) => parts.defer(stop),
    stop: () => (stopped ??= parts.disposeAsync()),
  };
}
