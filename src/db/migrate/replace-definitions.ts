import { DatabaseError, type Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { unchangedViews } from './definition-checksums.ts';
import { dropObject, hasDependents, refuseForeignRights } from './drop-object.ts';
import {
  findObject,
  listOwned,
  listRecorded,
  type DatabaseObject,
  type OwnedObject,
} from './objects.ts';
import { nameOf, type Statement } from './statements.ts';

/** The server's error proposes this command to drop the function. It is the same in every language of the server. */
const DROP_FIRST = /DROP (?:FUNCTION|PROCEDURE) (.+?\))/;
/** SQLSTATEs of a view that cannot be replaced, because its columns change. */
const CHANGED_VIEW = new Set(['42P16', '42804']);
const CHANGED_FUNCTION = '42P13';
const AMBIGUOUS_CALL = '42725';
/** The name, without its schema, in `ops.f(uuid)`. */
const CALLED = /(\w+)\(/;
const LOCK_ERRORS = new Set(['55P03', '40P01']);

/** The objects that a run of the definitions has made, and the objects of earlier versions that it has not made. */
export type Replaced = { made: DatabaseObject[]; stale: DatabaseObject[] };

type Failure = { statement: Statement; error: DatabaseError };

/**
 * Runs the definitions of views and functions. Replaces them in place, so that dependent objects stay. Skips views that
 * have not changed since their statement made them.
 *
 * A view whose columns change cannot be replaced, and a function whose result changes cannot either. migrate then drops
 * it with the dependent objects that migrate has made, and makes all of them again. Throws a ReadableError when another
 * object depends on it, or when another role has rights on it.
 */
export async function replaceDefinitions(
  client: Client,
  statements: Statement[],
): Promise<Replaced> {
  const unchanged = await unchangedViews(client, statements);
  const replaced = await replaceAll(client, statements, unchanged);
  if (!(await hasDependents(client, replaced.stale))) return replaced;
  // A skipped view still calls a stale function. Its text may now find another function, so run all definitions.
  return replaceAll(client, statements, new Set());
}

/** Runs the definitions. When one fails because of an existing object, drops that object and runs all of them again. */
async function replaceAll(
  client: Client,
  statements: Statement[],
  unchanged: Set<string>,
): Promise<Replaced> {
  for (let dropped = 0; dropped <= statements.length; dropped += 1) {
    await client.query('SAVEPOINT definitions');
    const before = await listOwned(client);
    const changed = statements.filter(
      (statement) => !unchanged.has(nameOf('VIEW', statement) ?? ''),
    );
    const failure = await runAll(client, changed);
    if (!failure) {
      await client.query('RELEASE SAVEPOINT definitions');
      return compare(before, await listOwned(client), unchanged);
    }
    await client.query('ROLLBACK TO SAVEPOINT definitions');
    await dropObstacle(client, failure);
    await client.query('RELEASE SAVEPOINT definitions');
    for (const view of unchanged) if (!(await findObject(client, view))) unchanged.delete(view);
  }
  throw new Error('the definitions of views and functions conflict with each other');
}

/**
 * Runs statements in one round trip, because the tables that migrations have altered stay locked until COMMIT. When one
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

/** Drops the object because of which a statement fails. Throws the error of the statement when it has another cause. */
async function dropObstacle(client: Client, { statement, error }: Failure): Promise<void> {
  const view = nameOf('VIEW', statement);
  const because = view ? 'whose columns change' : 'whose result or parameters change';
  const object = await findObstacle(client, view, error);
  if (!object) throw withFileName(statement, error);
  if (!(await listRecorded(client)).some(({ oid }) => oid === object.oid)) {
    throw new ReadableError(
      `${object.kind} ${object.name} cannot be replaced, and migrate did not make it: rename or drop it first.`,
    );
  }
  await refuseForeignRights(client, object, because);
  await dropObject(client, object, because);
}

async function findObstacle(client: Client, view: string | undefined, error: DatabaseError) {
  const { code = '', hint = '', message } = error;
  if (code === AMBIGUOUS_CALL) {
    // The function with the old parameters exists until stale objects are dropped.
    const name = CALLED.exec(message)?.[1] ?? '';
    return (await listRecorded(client)).find((object) => CALLED.exec(object.name)?.[1] === name);
  }
  const isReplaceable = view ? CHANGED_VIEW.has(code) : code === CHANGED_FUNCTION;
  const name = view ?? DROP_FIRST.exec(hint)?.[1];
  return isReplaceable && name ? findObject(client, name) : undefined;
}

/** Adds the file to the beginning of the message. */
function withFileName(statement: Statement, error: DatabaseError): Error {
  error.message = `sql/${statement.file}: ${error.message}`;
  return error;
}

/** Compares the versions of rows: replacing an object writes a new version of its row, even without a change. */
function compare(before: OwnedObject[], after: OwnedObject[], unchanged: Set<string>): Replaced {
  const versions = new Map(before.map(({ oid, version }) => [oid, version]));
  const isUntouched = ({ oid, version }: OwnedObject) => versions.get(oid) === version;
  return {
    made: after.filter((object) => !isUntouched(object)),
    stale: after.filter(
      (object) => object.recorded && isUntouched(object) && !unchanged.has(object.name),
    ),
  };
}
