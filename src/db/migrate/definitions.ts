import { DatabaseError, type Client } from 'pg';
import { dropObject, findObject, listOurs, refuseForeignRights, type Ours } from './ours.ts';
import type { Statement } from './statements.ts';

const VIEW = /^CREATE\s+OR\s+REPLACE\s+(?:RECURSIVE\s+)?VIEW\s+([\w.]+)/i;
/** The server says which function is in the way; the command is the same in every language. */
const DROP_FIRST = /DROP (?:FUNCTION|PROCEDURE) (.+?\))/;
const CHANGED_COLUMNS = ['42P16', '42804'];
const CHANGED_FUNCTION = '42P13';

/**
 * Runs the definitions of views and functions, which replaces them in place: what depends on them stays.
 * One whose columns or result change cannot be replaced: it is dropped first, with those of ours that
 * depend on it, and made again. When something of others depends on it, throws a ReadableError that
 * names both. Returns what is ours and was not among the definitions.
 */
export async function replaceDefinitions(client: Client, statements: Statement[]): Promise<Ours[]> {
  for (let dropped = 0; dropped <= statements.length; dropped += 1) {
    await client.query('SAVEPOINT definitions');
    const before = await listOurs(client);
    const failure = await runAll(client, statements);
    if (!failure) {
      await client.query('RELEASE SAVEPOINT definitions');
      return untouched(before, await listOurs(client));
    }
    await client.query('ROLLBACK TO SAVEPOINT definitions');
    await dropInTheWay(client, failure);
    await client.query('RELEASE SAVEPOINT definitions');
  }
  throw new Error('definitions of views and functions keep getting in the way of each other');
}

/** Drops what `replaceDefinitions` has returned, unless something depends on it. */
export async function dropStale(client: Client, stale: Ours[]): Promise<void> {
  const isStale = ({ oid }: Ours) => stale.some((object) => object.oid === oid);
  for (const { oid, ...object } of stale) {
    const present = (await listOurs(client)).find((o) => o.oid === oid);
    if (!present) continue; // gone along with one before
    await dropObject(client, { ...object, oid }, 'which this version no longer has', isStale);
  }
}

type Failure = { statement: Statement; error: DatabaseError };

async function runAll(client: Client, statements: Statement[]): Promise<Failure | undefined> {
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

/** Drops the view or function that a statement could not replace; throws what is another failure. */
async function dropInTheWay(client: Client, { statement, error }: Failure): Promise<void> {
  const view = VIEW.exec(statement.code)?.[1];
  const signature = DROP_FIRST.exec(error.hint ?? '')?.[1];
  const because = view ? 'whose columns change' : 'whose result or parameters change';
  const name = view ?? signature;
  const code = error.code ?? '';
  const replaceable = view ? CHANGED_COLUMNS.includes(code) : code === CHANGED_FUNCTION;
  const object = replaceable && name ? await findObject(client, name) : undefined;
  if (!object) throw inFile(statement, error);
  await refuseForeignRights(client, object, because);
  await dropObject(client, object, because);
}

/** The same failure; the message begins with the file. A lock that was not to be had stays itself. */
function inFile(statement: Statement, error: DatabaseError): Error {
  if (error.code === '55P03' || error.code === '40P01') return error;
  error.message = `sql/${statement.file}: ${error.message}`;
  return error;
}

/** Replacing an object writes a new version of its row, even when nothing about it changes. */
function untouched(before: Ours[], after: Ours[]): Ours[] {
  const versions = new Map(before.map(({ oid, version }) => [oid, version]));
  return after.filter(({ oid, version }) => versions.get(oid) === version);
}
