/*
 * migrate records its work in two tables. public.migrations has one row for each applied file of sql/migrations.
 * public.definitions has a checksum of each view, function and trigger that migrate made. Two things depend on it:
 * - migrate skips unchanged views and triggers, because replacing one locks out other sessions until COMMIT;
 * - migrate drops only recorded views and functions, even if a role of the service owns others.
 */
import { createHash } from 'node:crypto';
import type { Client } from 'pg';

/** Checksums by the names of objects. */
export type Records = Map<string, string>;

/** Creates the two tables, unless they exist. Only their owner may write them. */
export async function createRecordTables(client: Client): Promise<void> {
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT to_regclass('public.migrations') IS NOT NULL AS exists`,
  );
  if (rows[0]?.exists) return;
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
    COMMENT ON TABLE  public.migrations         IS 'One row per applied file of sql/migrations.';
    COMMENT ON COLUMN public.migrations.sha256  IS 'Checksum of the file. An applied file must not change.';
    COMMENT ON TABLE  public.definitions        IS
      'One row per view, function and trigger that migrate made, and one row for all files together.';
    COMMENT ON COLUMN public.definitions.sha256 IS
      'Checksum of the definition in the catalog of Postgres and, except for functions, of the statements in sql/.';
  `);
}

/** Reads the records of one kind: `view`, `function`, `trigger` or `files`. The keys do not contain the kind. */
export async function readRecords(client: Client, kind: string): Promise<Records> {
  const { rows } = await client.query<{ name: string; sha256: string }>(
    `SELECT substr(name, length($1) + 2) AS name, sha256 FROM public.definitions
     WHERE starts_with(name, $1 || ' ')`,
    [kind],
  );
  return new Map(rows.map(({ name, sha256 }) => [name, sha256]));
}

/** Replaces the records of one kind. Writes only differences. */
export async function writeRecords(client: Client, kind: string, wanted: Records): Promise<void> {
  const present = await readRecords(client, kind);
  for (const [name, sha256] of wanted) {
    if (present.get(name) === sha256) continue;
    await client.query(
      `INSERT INTO public.definitions (name, sha256) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET sha256 = EXCLUDED.sha256`,
      [`${kind} ${name}`, sha256],
    );
  }
  for (const name of present.keys()) {
    if (wanted.has(name)) continue;
    await client.query('DELETE FROM public.definitions WHERE name = $1', [`${kind} ${name}`]);
  }
}

/**
 * A checksum of the statements that make an object and of its definition in Postgres. So an object that was changed by
 * hand counts as changed.
 */
export function checksum(statements: string[], definition: string): string {
  return createHash('sha256')
    .update([...statements, definition].join('\n'))
    .digest('hex');
}
