import type { MigrateConfig } from '../config.ts';
import { ReadableError } from '../process.ts';
import { createClient } from './connection/client.ts';
import { sqlStateOf } from './errors.ts';
import { loginUrl, type LoginRole } from './roles.ts';

/** SQLSTATEs of a login that is refused: the password is wrong, or the role may not log in. */
const REFUSED_LOGIN = new Set(['28P01', '28000']);
const KIND = {
  name: 'oms-start',
  direct: true,
  statementTimeoutMs: 10_000,
  idleInTransactionTimeoutMs: 10_000,
};

/** The passwords of roles that log in. */
export type RolePasswords = Partial<Record<LoginRole, string>>;

/** The setting for the password of each role. */
const SETTINGS = {
  oms_api: 'API_DATABASE_PASSWORD',
  oms_worker: 'WORKER_DATABASE_PASSWORD',
  oms_dba: 'DBA_DATABASE_PASSWORD',
} as const;

/** The name of the setting for the password of a role. */
export function passwordSettingOf(role: string): string {
  return SETTINGS[role as keyof typeof SETTINGS];
}

/** The passwords in the settings. */
export function givenPasswords(config: MigrateConfig): RolePasswords {
  const entries = Object.entries(SETTINGS).map(([role, setting]) => [role, config[setting]]);
  return Object.fromEntries(entries.filter(([, password]) => password !== undefined));
}

/**
 * The passwords that migrate must set before the roles can log in with them. `given` passwords are from the settings,
 * `made` ones are made by `npm start`. Throws a ReadableError when a made password would replace another password of
 * the role, because other processes may log in with it.
 */
export async function passwordsToSet(
  databaseUrl: string,
  made: RolePasswords,
  given: RolePasswords,
): Promise<RolePasswords> {
  const toSet: RolePasswords = {};
  for (const [role, password] of Object.entries({ ...made, ...given }) as [LoginRole, string][]) {
    if (await canLogIn(loginUrl(databaseUrl, role, password))) continue;
    if (given[role] === undefined && (await hasLogin(databaseUrl, role))) {
      throw new ReadableError(
        `${role} has a password, and ${passwordSettingOf(role)} is not set: set it to that password, or to a new one.`,
      );
    }
    toSet[role] = password;
  }
  return toSet;
}

async function canLogIn(url: string): Promise<boolean> {
  const client = createClient(url, KIND);
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

async function hasLogin(databaseUrl: string, role: LoginRole): Promise<boolean> {
  const client = createClient(databaseUrl, KIND);
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
