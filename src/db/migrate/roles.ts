import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import { passwordSettingOf, type RolePasswords } from '../role-passwords.ts';
import { scramVerifier } from '../scram.ts';
import { readSql, type Sources } from './sources.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

/** Every role of sql/roles.sql. migrate never drops an object on which another role has rights. */
export const ROLES = [
  'oms_owner',
  'oms_queue',
  'oms_placer',
  'oms_accounts',
  'oms_door',
  'oms_api',
  'oms_worker',
  'oms_dba_read',
  'oms_dba',
  'oms_auditor',
];
/** The roles among these that own views and functions. */
export const OWNER_ROLES = ['oms_owner', 'oms_placer', 'oms_accounts', 'oms_door', 'oms_queue'];

/**
 * Creates or updates the roles and their rights on this database, inside the caller's transaction. It runs as the user
 * of DATABASE_URL, who may be a superuser, so the caller's search_path must not contain a schema in which others can
 * create functions. The transaction continues as oms_owner. Throws a ReadableError when the user lacks the rights.
 */
export async function prepareRoles(
  client: Client,
  passwords: RolePasswords,
  sources: Sources,
): Promise<void> {
  try {
    await client.query(await readSql(sources, 'roles.sql'));
    if (await ownsDatabase(client)) await client.query(await readSql(sources, 'database.sql'));
    await setPasswords(client, passwords);
    await client.query('SET LOCAL ROLE oms_owner; SET LOCAL search_path = public, pg_temp');
  } catch (error) {
    throw explainMissingRights(error);
  }
}

/** Explains which rights migrate needs when an error is about missing rights. Returns any other error unchanged. */
export function explainMissingRights(error: unknown): unknown {
  if (error instanceof ReadableError || sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) return error;
  return new ReadableError(
    'Migrating needs the login of a superuser, or of oms_owner after a superuser has run sql/roles.sql and ' +
      `sql/database.sql in this database (${error instanceof Error ? error.message : String(error)})`,
    { cause: error },
  );
}

// Open sessions are not affected: Postgres checks the password only at login.
async function setPasswords(client: Client, passwords: RolePasswords): Promise<void> {
  for (const [role, password] of Object.entries(passwords)) {
    const verifier = client.escapeLiteral(scramVerifier(password));
    try {
      await client.query(`ALTER ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD ${verifier}`);
    } catch (error) {
      if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
      throw new ReadableError(
        `The user of DATABASE_URL may not set the password of ${role}. npm start needs the current password of the ` +
          `role in ${passwordSettingOf(role)}; npm run migrate needs no password.`,
        { cause: error },
      );
    }
  }
}

/** Whether the user may grant rights on the database and on its schema public. */
async function ownsDatabase(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ owns: boolean }>(`
    SELECT pg_has_role(d.datdba, 'USAGE') AND pg_has_role(n.nspowner, 'USAGE') AS owns
    FROM pg_database AS d, pg_namespace AS n
    WHERE d.datname = current_database() AND n.nspname = 'public'
  `);
  return rows[0]?.owns ?? false;
}
