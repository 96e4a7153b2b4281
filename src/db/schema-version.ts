import { sql, type DatabasePool } from 'slonik';
import { ReadableError } from '../process.ts';
import { sqlStateOf } from './errors.ts';
import { newestMigration } from './migrate/migrations.ts';

const UNDEFINED_TABLE = '42P01';

/** `ok` when the database has the newest migration of this version. Otherwise `missing` with its name or `all`. */
export async function schemaState(pool: DatabasePool): Promise<string> {
  const newest = await newestMigration();
  try {
    const applied = await pool.exists(sql.unsafe`SELECT FROM migrations WHERE name = ${newest}`);
    return applied ? 'ok' : `missing ${newest}`;
  } catch (error) {
    if (sqlStateOf(error) === UNDEFINED_TABLE) return 'missing all';
    throw error;
  }
}

/** Throws a ReadableError when the database does not have the newest migration of this version. */
export async function requireSchema(pool: DatabasePool): Promise<void> {
  const state = await schemaState(pool);
  if (state === 'ok') return;
  throw new ReadableError(`The database is not up to date (${state}): npm run migrate`);
}
