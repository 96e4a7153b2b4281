import { ConnectionError, type DatabasePool, type DatabasePoolConnection } from 'slonik';

const methods = [
  'any',
  'anyFirst',
  'exists',
  'many',
  'manyFirst',
  'maybeOne',
  'maybeOneFirst',
  'one',
  'oneFirst',
  'query',
  'transaction',
] as const;

/**
 * A pool whose connections are waited for no longer than this; after that it is a ConnectionError, and
 * nothing is done. slonik 49 knows no such limit, and when the database goes away while the pool is used
 * up, it forgets whoever is in the queue until a connection has been made again.
 */
export function limitWaiting(pool: DatabasePool, timeoutMs: number): DatabasePool {
  async function connect<T>(act: (connection: DatabasePoolConnection) => Promise<T>): Promise<T> {
    const { promise: gaveUp, reject } = Promise.withResolvers<never>();
    let waiting = true;
    const timer = setTimeout(() => {
      waiting = false;
      reject(new ConnectionError(`no connection within ${timeoutMs} ms`));
    }, timeoutMs);
    const acted = pool.connect(async (connection) => {
      if (!waiting) return undefined as T; // nobody is there any more to have it
      clearTimeout(timer);
      return act(connection);
    });
    try {
      return await Promise.race([acted, gaveUp]);
    } finally {
      clearTimeout(timer);
    }
  }

  const limited = methods.map((method) => [
    method,
    (...args: unknown[]) =>
      connect((connection) =>
        (connection[method] as (...given: unknown[]) => Promise<unknown>)(...args),
      ),
  ]);
  return { ...pool, ...(Object.fromEntries(limited) as Partial<DatabasePool>), connect };
}
