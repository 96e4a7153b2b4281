/**
 * Returns a function that shares one call of `compute` among all its callers, and the result for `ms` after the call
 * began. So however many ask, `compute` runs at most once in that time, and never twice at once.
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

/** Waits for a promise, but not longer than `ms`. Ignores how it ends. */
export async function waitUpTo(ms: number, promise: Promise<unknown> | null): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([timeout, promise?.catch(() => undefined)]);
  clearTimeout(timer);
}
