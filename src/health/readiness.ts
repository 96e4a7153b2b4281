import { sql } from 'slonik';
import { z } from 'zod';
import { sqlStateOf } from '../db/errors.ts';
import { newestMigration } from '../db/migrations.ts';
import type { Deps } from '../deps.ts';

const CHECK_TIMEOUT_MS = 2000;
const UNDEFINED_TABLE = '42P01';

/** What a load balancer and an operator want to know. Only the database decides about `ready`. */
export const Readiness = z
  .object({
    status: z.enum(['ok', 'degraded', 'unavailable']),
    database: z.enum(['ok', 'away']),
    schema: z.string().meta({ description: 'ok, or the migration that is missing' }),
    redis: z.enum(['ok', 'away', 'off']),
  })
  .meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof Readiness>;

/** Asks the database and looks at Redis; answers within two seconds. */
export async function checkReadiness({ pool, redis }: Deps): Promise<Readiness> {
  const redisState = redis === null ? 'off' : redis.status === 'ready' ? 'ok' : 'away';
  const schema = await Promise.race([schemaState(pool), afterTimeout()]).catch(() => null);
  if (schema === null) {
    return { status: 'unavailable', database: 'away', schema: 'unknown', redis: redisState };
  }
  const status = schema !== 'ok' ? 'unavailable' : redisState === 'ok' ? 'ok' : 'degraded';
  return { status, database: 'ok', schema, redis: redisState };
}

/** `ok`, or which migration this version of the service needs and does not find. */
export async function schemaState(pool: Deps['pool']): Promise<string> {
  const newest = await newestMigration();
  try {
    const applied = await pool.exists(sql.unsafe`SELECT FROM migrations WHERE name = ${newest}`);
    return applied ? 'ok' : `missing ${newest}`;
  } catch (error) {
    if (sqlStateOf(error) === UNDEFINED_TABLE) return 'missing all';
    throw error;
  }
}

async function afterTimeout(): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  setTimeout(resolve, CHECK_TIMEOUT_MS, null).unref();
  return promise;
}

/** Refuses to start a process on a database that this version has not been migrated to. */
export async function requireSchema(pool: Deps['pool']): Promise<void> {
  const state = await schemaState(pool);
  if (state !== 'ok') throw new Error(`The database is not up to date (${state}): npm run migrate`);
}
