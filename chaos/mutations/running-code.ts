/* Whether a mutation changes code that runs: objects of the database, or modules that the API or a worker loads. */
import { existsSync, readFileSync } from 'node:fs';
import { Client } from 'pg';

const DEFINITIONS = `
  SELECT p.proname AS name, p.oid::regprocedure::text AS object,
    concat_ws(' ', pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner), p.proacl::text) AS definition
  FROM pg_proc AS p
  WHERE p.pronamespace::regnamespace::text IN ('public', 'ops', 'audit') AND p.prokind IN ('f', 'p')
  UNION ALL
  SELECT c.relname, c.oid::regclass::text,
    concat_ws(' ', pg_get_userbyid(c.relowner), c.relacl::text,
      CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END,
      (SELECT string_agg(concat_ws(' ', a.attname, a.attacl::text), ', ' ORDER BY a.attnum)
       FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0))
  FROM pg_class AS c
  WHERE c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit') AND c.relkind IN ('r', 'p', 'v')
  UNION ALL
  SELECT t.tgname, t.tgname || ' ON ' || t.tgrelid::regclass, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
  FROM pg_trigger AS t
  WHERE NOT t.tgisinternal AND t.tgparentid = 0`;

/** Everything that a mutation of SQL can change in a database: definitions, owners and rights, by object. */
export type Definitions = Map<string, string>;

/** Reads the definitions of a database. */
export async function readDefinitions(databaseUrl: string): Promise<Definitions> {
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    const { rows } = await client.query<{ object: string; definition: string }>(DEFINITIONS);
    return new Map(rows.map(({ object, definition }) => [object, definition]));
  } finally {
    await client.end();
  }
}

/** The objects that differ. */
export function changedObjects(before: Definitions, after: Definitions): string[] {
  const objects = [...new Set([...before.keys(), ...after.keys()])];
  return objects.filter((object) => before.get(object) !== after.get(object)).toSorted();
}

/** Whether one of the objects has this name. Ignores the arguments of functions and the tables of triggers. */
export function includesObject(objects: string[], name: string): boolean {
  return objects.some((object) => object.replace(/\(.*| ON .*/, '') === name);
}

/** The URLs of the modules of the repository that the entries load, directly or indirectly. */
export function moduleGraph(entries: URL[]): Set<string> {
  const found = new Set(entries.map(({ href }) => href));
  for (const href of found) {
    const source = readFileSync(new URL(href), 'utf8');
    for (const [, path = ''] of source.matchAll(/^(?:import|export)\b[^;]*?'(\.[^']+)';/gm)) {
      const url = new URL(path, href);
      if (existsSync(url)) found.add(url.href);
    }
  }
  return found;
}
