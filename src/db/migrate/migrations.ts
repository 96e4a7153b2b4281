import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Logger } from 'pino';
import { ReadableError } from '../../process.ts';
import { OWN_SOURCES, readSql, sqlFiles, type Sources } from './sources.ts';
import { splitStatements } from './statements.ts';

/** A file of sql/migrations: its name without `.sql`, its text, and the checksum of the text. */
type Migration = { name: string; text: string; sha256: string };

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
 * The migrations that this database does not have yet, in order. Throws MigrationEdited when an applied file was
 * changed or removed, or when a new file sorts before an applied one. Changes nothing.
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
      `migrations are applied in order: ${newest} was applied before ${listed(late)}. Give it a later number.`,
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

/** Throws when a file would end the transaction: migrate is one transaction, and half of it would be committed. */
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
