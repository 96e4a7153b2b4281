import { sql, type DatabasePool } from 'slonik';
import { ReadableError } from '../process.ts';
import { sqlStateOf } from './errors.ts';
import { newestMigration } from './migrations.ts';

const UNDEFINED_TABLE = '42P01';

/** `ok`, or the migration that this version needs and that is missing. */
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

/** Refuses to start a process on a database that this version has not been migrated to. */
export async function requireSchema(pool: DatabasePool): Promise<void> {
  const state = await schemaState(pool);
  if (state === 'ok') return;
  throw new ReadableError(`The database is not up to date (${state}): npm run migrate`);
}
