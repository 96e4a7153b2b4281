import type { Client } from 'pg';
import { areCurrent, recordDefinitions } from './definition-checksums.ts';
import { dropObject, refuseForeignRights } from './drop-object.ts';
import { listRecorded, type DatabaseObject } from './objects.ts';
import { replaceDefinitions, type Replaced } from './replace-definitions.ts';
import { OWNER_ROLES } from './roles.ts';
import { readSql, type Sources } from './sources.ts';
import { splitStatements, type Statement } from './statements.ts';
import { isTrigger, updateTriggers } from './triggers.ts';

/** Reads the statements of all definitions, in order. */
export async function readDefinitions(sources: Sources): Promise<Statement[]> {
  const files = sources.definitions.map(async (path) =>
    splitStatements(path, await readSql(sources, path)),
  );
  return (await Promise.all(files)).flat();
}

/** Brings functions, triggers and views to the state of their files, inside the caller's transaction. */
export async function updateDefinitions(client: Client, statements: Statement[]): Promise<void> {
  await client.query('CREATE SCHEMA IF NOT EXISTS ops; CREATE SCHEMA IF NOT EXISTS audit');
  const triggers = statements.filter(isTrigger);
  const others = statements.filter((statement) => !isTrigger(statement));
  if (await areCurrent(client, others)) return updateTriggers(client, triggers);
  // The owners of SECURITY DEFINER functions may create objects only while their functions are created.
  const creators = OWNER_ROLES.filter((owner) => owner !== 'oms_owner').join();
  await client.query(`GRANT CREATE ON SCHEMA public, ops, audit TO ${creators}`);
  const replaced = await replaceDefinitions(client, others);
  await updateTriggers(client, triggers);
  await dropStale(client, replaced);
  await recordDefinitions(client, others, namesOfFunctions(replaced));
  await client.query(`REVOKE CREATE ON SCHEMA public, ops, audit FROM ${creators}`);
}

/**
 * Drops the objects that earlier versions made and this version does not have. Throws a ReadableError when another
 * object depends on one of them, or when another role has rights on it.
 */
async function dropStale(client: Client, { stale }: Replaced): Promise<void> {
  const because = 'which this version no longer has';
  const isStale = ({ oid }: DatabaseObject) => stale.some((object) => object.oid === oid);
  for (const object of stale) {
    const exists = (await listRecorded(client)).some(({ oid }) => oid === object.oid);
    if (!exists) continue; // dropped together with an earlier one
    await refuseForeignRights(client, object, because);
    await dropObject(client, object, because, isStale);
  }
}

function namesOfFunctions({ made }: Replaced): string[] {
  return made.filter(({ kind }) => kind === 'function').map(({ name }) => name);
}
