import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { OWNER_ROLES } from './roles.ts';
import { sqlFiles, readSql, type Sources } from './sources.ts';
import { nameOf, splitStatements, type Statement } from './statements.ts';

const IN_MIGRATION = /\b(?:TABLE|INDEX|TYPE|SEQUENCE|DOMAIN|CONSTRAINT)\s+(?:public\.)?(\w+)/gi;
const LISTED_MAX = 10;

/** An object with a name that migrate needs. */
type Found = {
  kind: string;
  name: string;
  /** Whether one of the owner roles owns it. */
  owned: boolean;
  /** Whether this database was never migrated. */
  empty: boolean;
};

/**
 * Throws a ReadableError when objects that migrate did not make have names that it needs. Changes nothing. Checks the
 * names of tables only before the first migrate, because later migrations may have renamed tables.
 */
export async function refuseNameConflicts(
  client: Client,
  statements: Statement[],
  sources: Sources,
): Promise<void> {
  const found = await findNames(client, statements, await namesInMigrations(sources));
  if (found.length === 0) return;
  const recorded = found.some(({ empty }) => empty) ? new Set<string>() : await readNames(client);
  const isConflict = ({ kind, name, owned }: Found) => {
    if (!owned || kind === 'schema') return !owned;
    return !recorded.has(`${kind} ${name}`);
  };
  const conflicts = found.filter(isConflict).map(({ kind, name }) => `${kind} ${name}`);
  if (conflicts.length === 0) return;
  const more = conflicts.length > LISTED_MAX ? ` and ${conflicts.length - LISTED_MAX} more` : '';
  throw new ReadableError(
    `This database has objects that migrate did not make, with names that it needs: ` +
      `${conflicts.slice(0, LISTED_MAX).join(', ')}${more}. Rename or drop them, or use another database.`,
  );
}

// One query, so that it reads one snapshot: another run may commit the first migrate at the same time.
async function findNames(
  client: Client,
  statements: Statement[],
  inMigrations: string[],
): Promise<Found[]> {
  const views = statements.flatMap((statement) => nameOf('VIEW', statement) ?? []);
  const functions = statements.flatMap((statement) => nameOf('FUNCTION', statement) ?? []);
  const { rows } = await client.query<Found>(
    `WITH state AS (
       SELECT NOT EXISTS (
         SELECT FROM pg_class
         WHERE relname = 'migrations' AND relnamespace = 'public'::regnamespace
           AND pg_get_userbyid(relowner) = 'oms_owner'
       ) AS empty
     )
     SELECT id.type AS kind, id.identity AS name, pg_get_userbyid(o.owner) = ANY($4) AS owned, state.empty
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
    [views, functions, inMigrations, OWNER_ROLES],
  );
  return rows;
}

/** The names of the objects that migrate has recorded. */
async function readNames(client: Client): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>('SELECT name FROM public.definitions');
  return new Set(rows.map(({ name }) => name));
}

/** The names of the objects that migrations create, and of the tables with the records of migrate. */
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
