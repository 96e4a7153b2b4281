import { Client } from 'pg';
import type { MigrateConfig } from '../config.ts';
import { ReadableError } from '../process.ts';
import { sqlStateOf } from './errors.ts';
import { readSql, type Sources } from './migrate/sources.ts';
import { scramVerifier } from './scram.ts';

const INSUFFICIENT_PRIVILEGE = '42501';
/** SQLSTATEs of a login that is refused: the password is wrong, or the role may not log in. */
const REFUSED_LOGIN = new Set(['28P01', '28000']);

/** The roles of processes. sql/grants.sql lists the rights of each. */
export type ServiceRole = 'oms_owner' | 'oms_queue' | 'oms_api' | 'oms_worker';

/** The roles that migrate can give a password: those of processes, and the role of DBAs. */
export type LoginRole = ServiceRole | 'oms_dba';

/** The same database, with SET ROLE to a role that the URL's user is a member of. */
export function asRole(databaseUrl: string, role: ServiceRole): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('options', `-c role=${role}`);
  return url.href;
}

/** The same database for a service: logged in as its role, or with SET ROLE when there is no password. */
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

/** Passwords of the roles that log in. */
export type Passwords = Partial<Record<LoginRole, string>>;

/** The setting that gives the password of a role. */
const SETTINGS = {
  oms_api: 'API_DATABASE_PASSWORD',
  oms_worker: 'WORKER_DATABASE_PASSWORD',
  oms_dba: 'DBA_DATABASE_PASSWORD',
} as const;

/** The passwords that the settings give. */
export function givenPasswords(config: MigrateConfig): Passwords {
  const entries = Object.entries(SETTINGS).map(([role, setting]) => [role, config[setting]]);
  return Object.fromEntries(entries.filter(([, password]) => password !== undefined));
}

/**
 * The passwords that migrate has to set before the roles can log in with them. Throws a ReadableError when a role has
 * another password, and `made` one would replace it: other processes may log in with it.
 */
export async function passwordsToSet(
  databaseUrl: string,
  made: Passwords,
  given: Passwords,
): Promise<Passwords> {
  const toSet: Passwords = {};
  for (const [role, password] of Object.entries({ ...made, ...given }) as [LoginRole, string][]) {
    if (await canLogIn(loginUrl(databaseUrl, role, password))) continue;
    if (given[role] === undefined && (await isLogin(databaseUrl, role))) {
      throw new ReadableError(
        `${role} has a password, and ${settingOf(role)} is not set: set it to that password, or to a new one.`,
      );
    }
    toSet[role] = password;
  }
  return toSet;
}

function settingOf(role: string): string {
  return SETTINGS[role as keyof typeof SETTINGS];
}

async function canLogIn(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (REFUSED_LOGIN.has(sqlStateOf(error) ?? '')) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function isLogin(databaseUrl: string, role: LoginRole): Promise<boolean> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query(
      'SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolcanlogin',
      [role],
    );
    return rows.length > 0;
  } finally {
    await client.end();
  }
}

/**
 * Creates or updates the roles and their rights on this database, inside the caller's transaction. It runs as the
 * user of DATABASE_URL, which may be a superuser, and therefore with a search_path in which others cannot create
 * functions. The transaction continues as oms_owner. Throws a ReadableError when the user lacks the rights.
 */
export async function prepareRoles(
  client: Client,
  passwords: Passwords,
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
    'Migrating needs a superuser, or oms_owner in a database that a superuser has run sql/roles.sql ' +
      `and sql/database.sql in (${error instanceof Error ? error.message : String(error)})`,
    { cause: error },
  );
}

// Open sessions are not affected: Postgres checks the password only at login.
async function setPasswords(client: Client, passwords: Passwords): Promise<void> {
  for (const [role, password] of Object.entries(passwords)) {
    const verifier = client.escapeLiteral(scramVerifier(password));
    try {
      await client.query(`ALTER ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD ${verifier}`);
    } catch (error) {
      if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
      throw new ReadableError(
        `The user of DATABASE_URL may not set the password of ${role}. npm start needs the password that the ` +
          `role has in ${settingOf(role)}; npm run migrate needs none.`,
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
