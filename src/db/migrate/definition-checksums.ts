/*
 * Whether views and functions are as their statements made them: their definitions in Postgres are compared with the
 * checksums that migrate has recorded.
 */
import type { Client } from 'pg';
import { checksum, readRecords, writeRecords, type Records } from './records.ts';
import { nameOf, type Statement } from './statements.ts';

/** The kind and the name of the record for the text of all definitions. */
const FILES = 'files';
const ALL = 'all';

/** Whether all definitions have run already, and none of their views and functions has changed since. */
export async function areCurrent(client: Client, statements: Statement[]): Promise<boolean> {
  const files = await readRecords(client, FILES);
  if (files.get(ALL) !== checksumOfAll(statements)) return false;
  const unchanged = await unchangedViews(client, statements);
  const views = statements.flatMap((statement) => nameOf('VIEW', statement) ?? []);
  if (!views.every((view) => unchanged.has(view))) return false;
  const recorded = await readRecords(client, 'function');
  const current = await currentFunctions(client, [...recorded.keys()]);
  return [...recorded].every(([name, sha256]) => current.get(name) === sha256);
}

/** The names of the views that have not changed since their statements made them. */
export async function unchangedViews(
  client: Client,
  statements: Statement[],
): Promise<Set<string>> {
  const recorded = await readRecords(client, 'view');
  const current = await currentViews(client, statements);
  return new Set([...current.keys()].filter((view) => recorded.get(view) === current.get(view)));
}

/** Records the checksums of all views, of the named functions, and of the text of all definitions. */
export async function recordDefinitions(
  client: Client,
  statements: Statement[],
  functions: string[],
): Promise<void> {
  await writeRecords(client, 'view', await currentViews(client, statements));
  await writeRecords(client, 'function', await currentFunctions(client, functions));
  await writeRecords(client, FILES, new Map([[ALL, checksumOfAll(statements)]]));
}

function checksumOfAll(statements: Statement[]): string {
  return checksum(
    statements.map(({ text }) => text),
    '',
  );
}

async function currentFunctions(client: Client, names: string[]): Promise<Records> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `SELECT n.name, concat_ws(' ', p.proowner::regrole, pg_get_functiondef(p.oid)) AS definition
     FROM unnest($1::text[]) AS n(name) JOIN pg_proc AS p ON p.oid = to_regprocedure(n.name)`,
    [names],
  );
  return new Map(rows.map(({ name, definition }) => [name, checksum([], definition)]));
}

async function currentViews(client: Client, statements: Statement[]): Promise<Records> {
  const texts = new Map(statements.map((statement) => [nameOf('VIEW', statement), statement.text]));
  const { rows } = await client.query<{ name: string; definition: string }>(`
    SELECT format('%I.%I', schemaname, viewname) AS name,
      concat_ws(' ', viewowner, reloptions::text, definition) AS definition
    FROM pg_views
    JOIN pg_class ON oid = format('%I.%I', schemaname, viewname)::regclass
    WHERE schemaname IN ('public', 'ops', 'audit')
  `);
  return new Map(
    rows.flatMap(({ name, definition }) => {
      const text = texts.get(name);
      return text === undefined ? [] : [[name, checksum([text], definition)]];
    }),
  );
}
