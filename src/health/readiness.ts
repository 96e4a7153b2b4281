import { z } from 'zod';
import { schemaState } from '../db/schema-version.ts';
import type { Deps } from '../deps.ts';

const CHECK_TIMEOUT_MS = 2000;

/** The state of a process, for load balancers and operators. Only the database decides whether it is ready. */
export const Readiness = z
  .object({
    status: z.enum(['ok', 'degraded', 'stopping', 'unavailable']),
    database: z.enum(['ok', 'away']),
    schema: z.string().meta({
      description:
        '`ok`, `missing` and the name of the newest migration, `missing all`, or `unknown` while the database is away',
    }),
    redis: z.enum(['ok', 'away', 'off']),
  })
  .meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof Readiness>;

/** Checks the database and the connection to Redis. Returns within two seconds. */
export async function checkReadiness(deps: Deps): Promise<Readiness> {
  const readiness = await checkServers(deps);
  const isStopping = deps.stopping.signal.aborted && readiness.status !== 'unavailable';
  return isStopping ? { ...readiness, status: 'stopping' } : readiness;
}

async function checkServers({ pool, redis }: Deps): Promise<Readiness> {
  const redisState = redis === null ? 'off' : redis.status === 'ready' ? 'ok' : 'away';
  const schema = await Promise.race([schemaState(pool), afterTimeout()]).catch(() => null);
  if (schema === null) {
    return { status: 'unavailable', database: 'away', schema: 'unknown', redis: redisState };
  }
  const status = schema !== 'ok' ? 'unavailable' : redisState === 'ok' ? 'ok' : 'degraded';
  return { status, database: 'ok', schema, redis: redisState };
}

async function afterTimeout(): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  setTimeout(resolve, CHECK_TIMEOUT_MS, null).unref();
  return promise;
}
