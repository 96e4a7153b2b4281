import { readFile } from 'node:fs/promises';
import type { Client } from 'pg';
import { ReadableError } from '../process.ts';
import { sqlStateOf } from './errors.ts';
import { scramVerifier } from './scram.ts';

const SQL_DIR = new URL('../../sql/', import.meta.url);
const INSUFFICIENT_PRIVILEGE = '42501';

/** The roles that processes work as. What each may do is in sql/grants.sql. */
export type ServiceRole = 'oms_owner' | 'oms_queue' | 'oms_api' | 'oms_worker';

/** The roles that migrate can give a password: those of processes, and that of DBAs. */
export type LoginRole = ServiceRole | 'oms_dba';

/** The same database, working as a role that the URL's user is a member of. */
export function asRole(databaseUrl: string, role: ServiceRole): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('options', `-c role=${role}`);
  return url.href;
}

/** The same database for a service: logged in as its role, or without a password taking it on. */
export function serviceUrl(databaseUrl: string, role: ServiceRole, password?: string): string {
  return password === undefined ? asRole(databaseUrl, role) : loginUrl(databaseUrl, role, password);
}

/** The same database, logged in as a role. */
export function loginUrl(databaseUrl: string, role: LoginRole, password: string): string {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = encodeURIComponent(password);
  return url.href;
}

/** Passwords of roles that are to log in. */
export type Passwords = Partial<Record<LoginRole, string>>;

/** Makes sure of the roles, and of who owns what. Everything after this the client does as oms_owner. */
export async function becomeOwner(client: Client, passwords: Passwords): Promise<void> {
  try {
    await client.query(await sqlFile('roles.sql'));
    if (await isSuperuser(client)) await client.query(await sqlFile('owners.sql'));
    await setPasswords(client, passwords);
    await client.query('SET ROLE oms_owner');
  } catch (cause) {
    if (sqlStateOf(cause) !== INSUFFICIENT_PRIVILEGE) throw cause;
    throw new ReadableError(
      'Migrating needs a superuser, or oms_owner in a database that a superuser has run sql/roles.sql ' +
        `and sql/owners.sql in (${cause instanceof Error ? cause.message : String(cause)})`,
      { cause },
    );
  }
}

/** Gives every role its rights on what is there now. */
export async function grantRights(client: Client): Promise<void> {
  await client.query(await sqlFile('grants.sql'));
}

// A session that is open stays open: Postgres asks for the password only at the beginning.
async function setPasswords(client: Client, passwords: Passwords): Promise<void> {
  for (const [role, password] of Object.entries(passwords)) {
    const verifier = client.escapeLiteral(scramVerifier(password));
    await client.query(`ALTER ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD ${verifier}`);
  }
}

async function isSuperuser(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ rolsuper: boolean }>(
    'SELECT rolsuper FROM pg_roles WHERE rolname = session_user',
  );
  return rows[0]?.rolsuper ?? false;
}

function sqlFile(name: string): Promise<string> {
  return readFile(new URL(name, SQL_DIR), 'utf8');
}
