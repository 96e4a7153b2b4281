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
 * Limits how long callers wait for a connection of a pool. After the timeout the call throws a ConnectionError, without
 * any effect. slonik 49 has no such limit: when the database goes away while all connections are in use, queued callers
 * wait until a connection can be made again.
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
      if (!waiting) return undefined as T; // the caller has got the error already
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
