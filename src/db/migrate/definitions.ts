import { DatabaseError, type Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { dropObject, findObject, hasDependents, listOurs, listOwned } from './ours.ts';
import { refuseForeignRights, type Ours, type Owned } from './ours.ts';
import { checksum, readRecords, writeRecords, type Records } from './records.ts';
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

/** The record of the text of all definitions. */
const FILES = 'files';
const ALL = 'all';

/** What a run of the definitions has made, and which objects of earlier versions it has not. */
export type Replaced = { made: Ours[]; stale: Ours[] };

/** Whether all definitions have run already, and nothing that they made has changed since. */
export async function areCurrent(client: Client, statements: Statement[]): Promise<boolean> {
  const files = await readRecords(client, FILES);
  if (files.get(ALL) !== textOf(statements)) return false;
  const unchanged = await unchangedViews(client, statements);
  const views = statements.flatMap((statement) => viewOf(statement) ?? []);
  if (!views.every((view) => unchanged.has(view))) return false;
  const recorded = await readRecords(client, 'function');
  const current = await currentFunctions(client, [...recorded.keys()]);
  return [...recorded].every(([name, sha256]) => current.get(name) === sha256);
}

/**
 * Runs the definitions of views and functions. They are replaced in place, so that dependent objects stay. Skips views
 * that are unchanged since their statement made them. A view whose columns change, or a function whose result changes,
 * cannot be replaced: it is dropped first, with our objects that depend on it, and all are made again. When a foreign
 * object depends on it, throws a ReadableError that names both.
 */
export async function replaceDefinitions(
  client: Client,
  statements: Statement[],
): Promise<Replaced> {
  const unchanged = await unchangedViews(client, statements);
  const replaced = await replaceAll(client, statements, unchanged);
  if (!(await hasDependents(client, replaced.stale))) return replaced;
  // A skipped view still calls a function that its own text would no longer find: run all definitions.
  return replaceAll(client, statements, new Set());
}

/**
 * Drops what earlier versions have made and this one has not, and records what it has made. Throws a ReadableError when
 * a foreign object depends on what is to be dropped, or a foreign role has rights on it.
 */
export async function dropStale(
  client: Client,
  statements: Statement[],
  { made, stale }: Replaced,
): Promise<void> {
  const because = 'which this version no longer has';
  const isStale = ({ oid }: Ours) => stale.some((object) => object.oid === oid);
  for (const object of stale) {
    const present = (await listOurs(client)).some(({ oid }) => oid === object.oid);
    if (!present) continue; // dropped together with an earlier one
    await refuseForeignRights(client, object, because);
    await dropObject(client, object, because, isStale);
  }
  const functions = made.filter(({ kind }) => kind === 'function').map(({ name }) => name);
  await writeRecords(client, 'view', await currentViews(client, statements));
  await writeRecords(client, 'function', await currentFunctions(client, functions));
  await writeRecords(client, FILES, new Map([[ALL, textOf(statements)]]));
}

async function replaceAll(
  client: Client,
  statements: Statement[],
  unchanged: Set<string>,
): Promise<Replaced> {
  for (let dropped = 0; dropped <= statements.length; dropped += 1) {
    await client.query('SAVEPOINT definitions');
    const before = await listOwned(client);
    const changed = statements.filter((statement) => !unchanged.has(viewOf(statement) ?? ''));
    const failure = await runAll(client, changed);
    if (!failure) {
      await client.query('RELEASE SAVEPOINT definitions');
      return compare(before, await listOwned(client), unchanged);
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
  if (!(await listOurs(client)).some(({ oid }) => oid === object.oid)) {
    throw new ReadableError(
      `${object.kind} ${object.name} is in the way, and migrate did not make it: rename or drop it first.`,
    );
  }
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

/** Replacing an object writes a new version of its row, even without a change. */
function compare(before: Owned[], after: Owned[], unchanged: Set<string>): Replaced {
  const versions = new Map(before.map(({ oid, version }) => [oid, version]));
  const isUntouched = ({ oid, version }: Owned) => versions.get(oid) === version;
  return {
    made: after.filter((object) => !isUntouched(object)),
    stale: after.filter(
      (object) => object.recorded && isUntouched(object) && !unchanged.has(object.name),
    ),
  };
}

function textOf(statements: Statement[]): string {
  return checksum(
    statements.map(({ text }) => text),
    '',
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

async function currentFunctions(client: Client, names: string[]): Promise<Records> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `SELECT n.name, concat_ws(' ', p.proowner::regrole, pg_get_functiondef(p.oid)) AS definition
     FROM unnest($1::text[]) AS n(name) JOIN pg_proc AS p ON p.oid = to_regprocedure(n.name)`,
    [names],
  );
  return new Map(rows.map(({ name, definition }) => [name, checksum([], definition)]));
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
