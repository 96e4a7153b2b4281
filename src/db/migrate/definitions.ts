import { DatabaseError, type Client } from 'pg';
import { dropObject, findObject, hasDependents, listOurs, refuseForeignRights } from './ours.ts';
import type { Ours } from './ours.ts';
import { checksum, forgetDropped, readRecords, writeRecords, type Records } from './records.ts';
import type { Statement } from './statements.ts';

const VIEW = /^CREATE\s+OR\s+REPLACE\s+(?:RECURSIVE\s+)?VIEW\s+([\w.]+)/i;
/** The server's hint names the function to drop. This command in it is not translated. */
const DROP_FIRST = /DROP (?:FUNCTION|PROCEDURE) (.+?\))/;
const CHANGED_VIEW = new Set(['42P16', '42804']);
const CHANGED_FUNCTION = '42P13';
const AMBIGUOUS_CALL = '42725';
/** The name, without its schema, in `ops.f(uuid)`. */
const CALLED = /(\w+)\(/;
const LOCK_ERRORS = new Set(['55P03', '40P01']);

/**
 * Runs the definitions of views and functions. They are replaced in place, so that dependent objects stay. Skips views
 * that are unchanged since their statement made them. A view whose columns change, or a function whose result changes,
 * cannot be replaced: it is dropped first, with our objects that depend on it, and all are made again. When a foreign
 * object depends on it, throws a ReadableError that names both. Returns our objects that no definition makes.
 */
export async function replaceDefinitions(client: Client, statements: Statement[]): Promise<Ours[]> {
  const stale = await replaceAll(client, statements, await unchangedViews(client, statements));
  if (!(await hasDependents(client, stale))) return stale;
  // A skipped view still calls a function that its own text would no longer find: run all definitions.
  return replaceAll(client, statements, new Set());
}

/** Drops the objects that `replaceDefinitions` returned. Throws when a foreign object depends on one. */
export async function dropStale(client: Client, stale: Ours[]): Promise<void> {
  const isStale = ({ oid }: Ours) => stale.some((object) => object.oid === oid);
  for (const object of stale) {
    const present = (await listOurs(client)).some(({ oid }) => oid === object.oid);
    if (!present) continue; // dropped together with an earlier one
    await dropObject(client, object, 'which this version no longer has', isStale);
  }
  if (stale.length > 0) await forgetDropped(client);
}

async function replaceAll(client: Client, statements: Statement[], unchanged: Set<string>) {
  for (let dropped = 0; dropped <= statements.length; dropped += 1) {
    await client.query('SAVEPOINT definitions');
    const before = await listOurs(client);
    const changed = statements.filter((statement) => !unchanged.has(viewOf(statement) ?? ''));
    const failure = await runAll(client, changed);
    if (!failure) {
      if (changed.some((statement) => viewOf(statement) !== undefined))
        await recordViews(client, statements);
      await client.query('RELEASE SAVEPOINT definitions');
      return untouched(before, await listOurs(client), unchanged);
    }
    await client.query('ROLLBACK TO SAVEPOINT definitions');
    await dropInTheWay(client, failure);
    await client.query('RELEASE SAVEPOINT definitions');
    for (const gone of unchanged) if (!(await findObject(client, gone))) unchanged.delete(gone);
  }
  throw new Error('definitions of views and functions keep getting in the way of each other');
}

type Failure = { statement: Statement; error: DatabaseError };

/**
 * Runs statements in one round trip, because tables that migrations have altered stay locked until the end. When one
 * fails, runs them one by one to find it.
 */
async function runAll(client: Client, statements: Statement[]): Promise<Failure | undefined> {
  try {
    await client.query(statements.map(({ text }) => text).join('\n;\n'));
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError) || LOCK_ERRORS.has(error.code ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT definitions');
  }
  for (const statement of statements) {
    try {
      await client.query(statement.text);
    } catch (error) {
      if (error instanceof DatabaseError) return { statement, error };
      throw error;
    }
  }
  return undefined;
}

/** Drops the object that made a statement fail. Throws the failure when it has another cause. */
async function dropInTheWay(client: Client, { statement, error }: Failure): Promise<void> {
  const view = viewOf(statement);
  const because = view ? 'whose columns change' : 'whose result or parameters change';
  const object = await inTheWay(client, view, error);
  if (!object) throw inFile(statement, error);
  await refuseForeignRights(client, object, because);
  await dropObject(client, object, because);
}

async function inTheWay(client: Client, view: string | undefined, error: DatabaseError) {
  const { code = '', hint = '', message } = error;
  if (code === AMBIGUOUS_CALL) {
    // The function with the old parameters still exists until stale objects are dropped.
    const name = CALLED.exec(message)?.[1] ?? '';
    return (await listOurs(client)).find((ours) => CALLED.exec(ours.name)?.[1] === name);
  }
  const replaceable = view ? CHANGED_VIEW.has(code) : code === CHANGED_FUNCTION;
  const name = view ?? DROP_FIRST.exec(hint)?.[1];
  return replaceable && name ? findObject(client, name) : undefined;
}

/** Adds the file to the beginning of the message. */
function inFile(statement: Statement, error: DatabaseError): Error {
  error.message = `sql/${statement.file}: ${error.message}`;
  return error;
}

/** The objects that no statement replaced: replacing writes a new version of the row, even without a change. */
function untouched(before: Ours[], after: Ours[], unchanged: Set<string>): Ours[] {
  const versions = new Map(before.map(({ oid, version }) => [oid, version]));
  return after.filter(
    ({ oid, version, name }) => versions.get(oid) === version && !unchanged.has(name),
  );
}

function viewOf({ code }: Statement): string | undefined {
  const name = VIEW.exec(code)?.[1];
  return name === undefined || name.includes('.') ? name : `public.${name}`;
}

/** The views that are unchanged since their statements made them. */
async function unchangedViews(client: Client, statements: Statement[]): Promise<Set<string>> {
  const recorded = await readRecords(client, 'view');
  const current = await currentViews(client, statements);
  return new Set([...current.keys()].filter((view) => recorded.get(view) === current.get(view)));
}

async function recordViews(client: Client, statements: Statement[]): Promise<void> {
  await writeRecords(client, 'view', await currentViews(client, statements));
}

async function currentViews(client: Client, statements: Statement[]): Promise<Records> {
  const texts = new Map(statements.map((statement) => [viewOf(statement), statement.text]));
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
