import { createHash } from 'node:crypto';
import type { Client } from 'pg';

/**
 * Checksums of the views, functions and triggers that migrate made, in the table definitions. Replacing a view or a
 * trigger locks out other sessions until the transaction ends, so unchanged ones are skipped. Other views and functions
 * are not migrate's, also when one of our roles owns them.
 */
export type Records = Map<string, string>;

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
 * A checksum of the statements that make an object and of its definition in Postgres. An object that was changed by
 * hand therefore does not count as unchanged.
 */
export function checksum(statements: string[], definition: string): string {
  return createHash('sha256')
    .update([...statements, definition].join('\n'))
    .digest('hex');
}
