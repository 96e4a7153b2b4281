/*
 * The login roles of services and people with passwords of their own, as a thief would use them, and the contents of a
 * database before and after an attack.
 */
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import type { Context } from './context.ts';
import { databaseUrl, onServer } from './template.ts';

/** The roles with which services and people log in. */
export const LOGINS = ['oms_api', 'oms_worker', 'oms_dba_read', 'oms_dba', 'oms_auditor'] as const;
export type Login = (typeof LOGINS)[number];

const PASSWORD = 'that-a-thief-knows';

/** Lets every role log in on the server under test. */
export async function createLogins(): Promise<void> {
  for (const role of LOGINS) await onServer(`ALTER ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`);
}

/** The URL of a database with the password of a role. */
export function loginUrl(role: Login, database: string): string {
  const url = new URL(databaseUrl(database));
  [url.username, url.password] = [role, PASSWORD];
  return url.href;
}

/** Logs in with the role's own password, so that RESET ROLE does not lead back to the superuser. */
export async function logIn(
  t: ExecutionContext<Context>,
  role: Login,
  database = t.context.database,
): Promise<Client> {
  const client = new Client(loginUrl(role, database));
  client.on('error', () => undefined); // an attack may end the connection
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

/**
 * Everything that an attack must not change: a hash of the rows of each table, and of the definitions, owners and
 * rights of all objects in the database.
 */
export async function contents(admin: Client): Promise<Record<string, string>> {
  const { rows: tables } = await admin.query<{ name: string }>(`
    SELECT oid::regclass::text AS name FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition
      AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  `);
  const parts = [
    ...tables.map(({ name }) => [name, name]),
    ...CATALOGS.map((query) => [query, `(${query})`]),
  ];
  const hashes = parts.map(
    ([label, from]) => `SELECT $hash$${label}$hash$ AS what,
      md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS hash FROM ${from} AS t`,
  );
  const { rows } = await admin.query<{ what: string; hash: string }>(hashes.join(' UNION ALL '));
  return Object.fromEntries(rows.map(({ what, hash }) => [what, hash]));
}

// Objects of Postgres itself have oids below 16384. They are left out where reading them takes long.
const CATALOGS = [
  `SELECT relname, relkind, relowner, relacl, relrowsecurity, reloptions, relhastriggers
   FROM pg_class WHERE oid >= 16384`,
  'SELECT attrelid, attname, attacl FROM pg_attribute WHERE attrelid >= 16384',
  'SELECT proname, proowner, proacl, prosrc, proconfig FROM pg_proc WHERE oid >= 16384',
  'SELECT tgrelid, tgname, tgenabled, tgfoid FROM pg_trigger',
  'SELECT nspname, nspowner, nspacl FROM pg_namespace',
  'SELECT datname, datdba, datacl FROM pg_database WHERE datname = current_database()',
  'SELECT oprname FROM pg_operator WHERE oid >= 16384',
  'SELECT castsource, casttarget, castfunc FROM pg_cast WHERE oid >= 16384',
  'SELECT typname, typacl FROM pg_type WHERE oid >= 16384',
  'SELECT defaclrole, defaclacl FROM pg_default_acl',
  'SELECT extname FROM pg_extension',
  'SELECT lomowner, lomacl FROM pg_largeobject_metadata',
  // Roles belong to the server. Other tests create some at the same time.
  `SELECT roleid, member FROM pg_auth_members
   WHERE member IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'oms\\_%' AND rolname NOT LIKE 'oms\\_test%')`,
];
