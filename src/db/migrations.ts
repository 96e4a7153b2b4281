import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { runner } from 'node-pg-migrate';
import type { Client } from 'pg';
import type { Logger } from 'pino';

const MIGRATIONS_DIR = new URL('../../sql/migrations/', import.meta.url);
/** Schemas of views and functions for people. Each is a folder of sql/; a later one may use an earlier. */
const SCHEMAS = ['ops', 'audit'];
const FUNCTIONS_DIR = new URL('../../sql/functions/', import.meta.url);

/** A migration that was applied has been edited since, or is gone. */
export class MigrationEdited extends Error {
  override name = 'MigrationEdited';
}

/** The name of the newest migration that this version of the service comes with. */
export async function newestMigration(): Promise<string> {
  const names = await sqlFiles(MIGRATIONS_DIR);
  return names.at(-1)?.replace(/\.sql$/, '') ?? '';
}

/** Throws MigrationEdited when an applied file has changed. Asked before anything is touched. */
export async function refuseEdited(client: Client, dir = MIGRATIONS_DIR): Promise<void> {
  await client.query(`
    CREATE TABLE IF NOT EXISTS migration_checksums (
      name   text NOT NULL,
      sha256 text NOT NULL,
      CONSTRAINT migration_checksums_pk PRIMARY KEY (name)
    )
  `);
  const current = await checksums(dir);
  const { rows } = await client.query<{ name: string; sha256: string }>(
    'SELECT name, sha256 FROM migration_checksums ORDER BY name',
  );
  const edited = rows.filter(({ name, sha256 }) => current.get(name) !== sha256);
  if (edited.length === 0) return;
  const names = edited.map(({ name }) => name).join(', ');
  throw new MigrationEdited(
    `applied migrations must not change: ${names}. Add a new file instead.`,
  );
}

/**
 * Applies what is missing of sql/migrations, each in a transaction and under an advisory lock, and
 * remembers the checksum of each. Throws MigrationEdited when an applied file has changed.
 */
export async function applyMigrations(
  client: Client,
  log: Logger,
  dir = MIGRATIONS_DIR,
): Promise<void> {
  await refuseEdited(client, dir);
  await runner({
    dbClient: client,
    dir: dir.pathname,
    direction: 'up',
    migrationsTable: 'migrations',
    checkOrder: true,
    log: () => undefined,
    logger: {
      debug: () => undefined,
      info: (text) => log.debug(text),
      warn: (text) => log.warn(text),
      error: (text) => log.error(text),
    },
  });
  await rememberChecksums(client, dir);
}

/** Creates the views and functions for people anew, so that their files can be edited freely. */
export async function createViews(client: Client): Promise<void> {
  const texts = await functions();
  for (const schema of SCHEMAS) {
    const dir = new URL(`../../sql/${schema}/`, import.meta.url);
    texts.push(`CREATE SCHEMA ${schema}`);
    for (const file of await sqlFiles(dir)) texts.push(await readFile(new URL(file, dir), 'utf8'));
  }
  await client.query(['BEGIN', ...texts, 'COMMIT'].join(';\n'));
}

// A new owner must be allowed to create in the schema: for this transaction only.
async function functions(): Promise<string[]> {
  const texts = ['GRANT CREATE ON SCHEMA public TO oms_door'];
  for (const file of await sqlFiles(FUNCTIONS_DIR))
    texts.push(await readFile(new URL(file, FUNCTIONS_DIR), 'utf8'));
  return [...texts, 'REVOKE CREATE ON SCHEMA public FROM oms_door'];
}

/** Before anything else is migrated: a view on a pg-boss table would block pg-boss from altering it. */
export async function dropViews(client: Client): Promise<void> {
  await client.query(`DROP SCHEMA IF EXISTS ${SCHEMAS.join(', ')} CASCADE`);
}

async function rememberChecksums(client: Client, dir: URL): Promise<void> {
  for (const [name, sha256] of await checksums(dir)) {
    await client.query(
      'INSERT INTO migration_checksums (name, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [name, sha256],
    );
  }
}

async function checksums(dir: URL): Promise<Map<string, string>> {
  const files = await sqlFiles(dir);
  const entries = files.map(async (file) => {
    const text = await readFile(new URL(file, dir));
    return [file.replace(/\.sql$/, ''), createHash('sha256').update(text).digest('hex')] as const;
  });
  return new Map(await Promise.all(entries));
}

async function sqlFiles(dir: URL): Promise<string[]> {
  const names = await readdir(dir);
  return names.filter((name) => name.endsWith('.sql')).sort();
}
