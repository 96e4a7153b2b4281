import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { OWNERS } from './ours.ts';
import { sqlFiles, readSql, type Sources } from './sources.ts';
import { splitStatements, type Statement } from './statements.ts';

const IN_DEFINITION = /^CREATE\s+OR\s+REPLACE\s+(?:RECURSIVE\s+)?(VIEW|FUNCTION)\s+([\w.]+)/i;
const IN_MIGRATION = /\b(?:TABLE|INDEX|TYPE|SEQUENCE|DOMAIN|CONSTRAINT)\s+(?:public\.)?(\w+)/gi;
const LISTED_MAX = 10;

type Found = { kind: string; name: string; ours: boolean; empty: boolean };

/**
 * Throws a ReadableError that names the objects which have a name that migrate needs, and which it did not make. Reads
 * only. Tables are looked for only before the first migrate, because later migrations may have renamed them.
 */
export async function refuseTakenNames(
  client: Client,
  statements: Statement[],
  sources: Sources,
): Promise<void> {
  const found = await findNames(client, statements, await namesInMigrations(sources));
  if (found.length === 0) return;
  const recorded = found.some(({ empty }) => empty) ? new Set<string>() : await readNames(client);
  // Functions were not recorded at first: before they are, our owners' count as made by migrate.
  const knowsFunctions =
    recorded.size === 0 || [...recorded].some((name) => name.startsWith('function '));
  const isTaken = ({ kind, name, ours }: Found) => {
    if (!ours || kind === 'schema') return !ours;
    if (kind === 'function' && !knowsFunctions) return false;
    return !recorded.has(`${kind} ${name}`);
  };
  const taken = found.filter(isTaken).map(({ kind, name }) => `${kind} ${name}`);
  if (taken.length === 0) return;
  const more = taken.length > LISTED_MAX ? ` and ${taken.length - LISTED_MAX} more` : '';
  throw new ReadableError(
    `This database has objects that migrate did not make, with names that it needs: ` +
      `${taken.slice(0, LISTED_MAX).join(', ')}${more}. Rename or drop them, or use another database.`,
  );
}

// One statement, hence one snapshot: while it runs, another migrate may commit the first one.
async function findNames(
  client: Client,
  statements: Statement[],
  inMigrations: string[],
): Promise<Found[]> {
  const { rows } = await client.query<Found>(
    `WITH state AS (
       SELECT NOT EXISTS (
         SELECT FROM pg_class
         WHERE relname = 'migrations' AND relnamespace = 'public'::regnamespace
           AND pg_get_userbyid(relowner) = 'oms_owner'
       ) AS empty
     )
     SELECT id.type AS kind, id.identity AS name, pg_get_userbyid(o.owner) = ANY($4) AS ours, state.empty
     FROM state, LATERAL (
       SELECT 'pg_namespace'::regclass AS classid, oid, nspowner AS owner
       FROM pg_namespace WHERE nspname IN ('pgboss', 'ops', 'audit')
       UNION ALL
       SELECT 'pg_class'::regclass, oid, relowner FROM pg_class
       WHERE format('%s.%s', relnamespace::regnamespace, relname) = ANY($1)
         OR state.empty AND relnamespace = 'public'::regnamespace AND relname = ANY($3)
       UNION ALL
       SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
       WHERE state.empty AND typnamespace = 'public'::regnamespace AND typname = ANY($3) AND typtype IN ('d', 'e', 'r')
       UNION ALL
       SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
       WHERE format('%s.%s', pronamespace::regnamespace, proname) = ANY($2)
     ) AS o
     CROSS JOIN LATERAL pg_identify_object(o.classid, o.oid, 0) AS id
     ORDER BY o.classid, id.identity`,
    [namesOf('VIEW', statements), namesOf('FUNCTION', statements), inMigrations, OWNERS],
  );
  return rows;
}

/** The names of the objects that migrate has recorded. */
async function readNames(client: Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM public.definitions');
  return new Set(rows.map(({ name }) => name));
}

function namesOf(kind: 'VIEW' | 'FUNCTION', statements: Statement[]): string[] {
  return statements.flatMap(({ code }) => {
    const [, found = '', name = ''] = IN_DEFINITION.exec(code) ?? [];
    if (found.toUpperCase() !== kind) return [];
    return name.includes('.') ? name : `public.${name}`;
  });
}

/** The names in statements of migrations that create something, and of the tables that migrate records its work in. */
async function namesInMigrations(sources: Sources): Promise<string[]> {
  const files = await sqlFiles(sources, 'migrations');
  const texts = await Promise.all(files.map((file) => readSql(sources, `migrations/${file}`)));
  const creating = texts
    .flatMap((text) => splitStatements('', text))
    .filter(({ code }) => /^CREATE\b/i.test(code));
  const names = creating.flatMap(({ code }) =>
    Array.from(code.matchAll(IN_MIGRATION), ([, name = '']) => name),
  );
  return ['migrations', 'definitions', ...names];
}
