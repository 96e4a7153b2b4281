/**
 * Returns a function that calls `compute` for all its callers together, and returns the result again until `ms` after
 * the call began. However many callers there are, `compute` runs at most once in this time, and never twice at once.
 */
export function shareFor<T>(ms: number, compute: () => Promise<T>): () => Promise<T> {
  let newest: Promise<T> | null = null;
  let running = false;
  let startedAt = 0;
  return () => {
    if (newest !== null && (running || performance.now() - startedAt < ms)) return newest;
    running = true;
    startedAt = performance.now();
    newest = compute().finally(() => (running = false));
    return newest;
  };
}

/** Waits for a promise, but not longer than `ms`. Does not reject when the promise does. */
export async function waitUpTo(ms: number, promise: Promise<unknown> | null): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([timeout, promise?.catch(() => undefined)]);
  clearTimeout(timer);
}
