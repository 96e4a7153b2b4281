import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Logger } from 'pino';
import { ReadableError } from '../process.ts';
import { OWN_SOURCES, readSql, sqlFiles, type Sources } from './migrate/sources.ts';
import { splitStatements } from './migrate/statements.ts';

/** A file of sql/migrations: its name without `.sql`, its text, and the text's checksum. */
type Migration = { name: string; text: string; sha256: string };

/**
 * Creates the two tables in which migrate records its work, unless they exist. Only their owner may write them.
 */
export async function createBooks(client: Client): Promise<void> {
  const { rows } = await client.query<{ there: boolean }>(
    `SELECT to_regclass('public.migrations') IS NOT NULL AS there`,
  );
  if (rows[0]?.there) return;
  await client.query(`
    CREATE TABLE public.migrations (
      name       text        NOT NULL,
      sha256     text        NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now(),

      CONSTRAINT migrations_pk PRIMARY KEY (name)
    );
    CREATE TABLE public.definitions (
      name   text NOT NULL,
      sha256 text NOT NULL,

      CONSTRAINT definitions_pk PRIMARY KEY (name)
    );
    COMMENT ON TABLE  public.migrations         IS 'One row per file of sql/migrations that was applied.';
    COMMENT ON COLUMN public.migrations.sha256  IS 'Of the file: one that was applied must not change.';
    COMMENT ON TABLE  public.definitions        IS
      'One row per view, function and trigger that migrate made, and one for the files of all.';
    COMMENT ON COLUMN public.definitions.sha256 IS
      'Of the statements in sql/ that made it, and of what Postgres then said that it was.';
  `);
}

/** An applied migration was edited or removed, or a new one sorts before an applied one. */
export class MigrationEdited extends ReadableError {
  override name = 'MigrationEdited';
}

/** The name of the newest migration of this version of the service. */
export async function newestMigration(): Promise<string> {
  const names = await sqlFiles(OWN_SOURCES, 'migrations');
  return names.at(-1)?.replace(/\.sql$/, '') ?? '';
}

/**
 * The migrations that this database does not have yet, in order. Throws MigrationEdited when an
 * applied file was changed or removed, or when a new file sorts before an applied one. Reads only.
 */
export async function missingMigrations(client: Client, sources: Sources): Promise<Migration[]> {
  const files = await readMigrations(sources);
  const { rows: applied } = await client.query<{ name: string; sha256: string }>(
    'SELECT name, sha256 FROM public.migrations ORDER BY name',
  );
  const checksums = new Map(files.map(({ name, sha256 }) => [name, sha256]));
  const edited = applied.filter(({ name, sha256 }) => checksums.get(name) !== sha256);
  if (edited.length > 0) {
    throw new MigrationEdited(
      `applied migrations must not change: ${listed(edited)}. Add a new file instead.`,
    );
  }
  const names = new Set(applied.map(({ name }) => name));
  const newest = [...names].toSorted().at(-1) ?? '';
  const missing = files.filter(({ name }) => !names.has(name));
  const late = missing.filter(({ name }) => name < newest);
  if (late.length > 0) {
    throw new MigrationEdited(
      `migrations are applied in order: ${listed(late)} comes after ${newest}. Give it a later number.`,
    );
  }
  return missing;
}

/** Applies migrations inside the caller's transaction, and records the checksum of each. */
export async function applyMigrations(
  client: Client,
  migrations: Migration[],
  log: Logger,
): Promise<void> {
  for (const { name, text, sha256 } of migrations) {
    log.debug({ migration: name }, 'applying a migration');
    refuseTransactionControl(name, text);
    await client.query(text);
    await client.query('INSERT INTO public.migrations (name, sha256) VALUES ($1, $2)', [
      name,
      sha256,
    ]);
  }
}

/** A migrate is one transaction: a file that ended the transaction would commit half of it. */
function refuseTransactionControl(name: string, text: string): void {
  const control = /^(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|PREPARE\s+TRANSACTION)\b/i;
  const found = splitStatements(name, text).find(({ code }) => control.test(code));
  if (found) throw new ReadableError(`migration ${name} must not contain ${found.code}`);
}

function listed(migrations: { name: string }[]): string {
  return migrations.map(({ name }) => name).join(', ');
}

async function readMigrations(sources: Sources): Promise<Migration[]> {
  const files = await sqlFiles(sources, 'migrations');
  return Promise.all(
    files.map(async (file) => {
      const text = await readSql(sources, `migrations/${file}`);
      const sha256 = createHash('sha256').update(text).digest('hex');
      return { name: file.replace(/\.sql$/, ''), text, sha256 };
    }),
  );
}
