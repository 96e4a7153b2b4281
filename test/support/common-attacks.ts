/*
 * Attacks that every stolen login tries: to act as another role, to get more rights, and to make another role run its
 * code.
 */
import { DENIED, EITHER, type Attack } from './attacks.ts';
import { LOGINS, type Login } from './logins.ts';

const OWNERS = ['oms_owner', 'oms_queue', 'oms_placer', 'oms_accounts', 'oms_door', 'postgres'];
const SCHEMAS = ['public', 'pgboss', 'ops', 'audit', 'pg_catalog'];

/** The attacks of a login. */
export function commonAttacks(role: Login): Attack[] {
  const inherited = role === 'oms_dba' ? ['oms_dba_read'] : [];
  const others = [...OWNERS, ...LOGINS].filter(
    (other) => other !== role && !inherited.includes(other),
  );
  return [
    ...others.flatMap((other) => againstRole(role, other)),
    ...SCHEMAS.flatMap(inSchema),
    ...forMoreRights(role),
    ...TEMPORARY_OBJECTS,
    ...OBJECTS,
    ...SWITCHES,
    ...FILES,
    ...SECRETS,
    ...RECORDS,
    ...QUEUE,
  ];
}

function againstRole(role: Login, other: string): Attack[] {
  return [
    [`take on ${other}`, `SET ROLE ${other}`, DENIED],
    [`log in as ${other}`, `SET SESSION AUTHORIZATION ${other}`, DENIED],
    [`change a setting of ${other}`, `ALTER ROLE ${other} SET search_path = public`, DENIED],
    [`change the password of ${other}`, `ALTER ROLE ${other} PASSWORD 'mine'`, DENIED],
    [`make itself a member of ${other}`, `GRANT ${other} TO ${role}`, DENIED],
  ];
}

function inSchema(schema: string): Attack[] {
  return [
    [`create a table in ${schema}`, `CREATE TABLE ${schema}.mine (id int)`, DENIED],
    [`create a function in ${schema}`, fn(`${schema}.mine`), DENIED],
    [`create an operator in ${schema}`, operator(`${schema}.+`), DENIED],
    [`create a domain in ${schema}`, `CREATE DOMAIN ${schema}.mine AS text`, DENIED],
  ];
}

function forMoreRights(role: Login): Attack[] {
  return [
    ['become a superuser', `ALTER ROLE ${role} SUPERUSER`, DENIED],
    ['get past row policies', `ALTER ROLE ${role} BYPASSRLS`, DENIED],
    ['give itself a right', `GRANT SELECT ON users TO ${role}`, DENIED],
    ['give PUBLIC a right', 'GRANT ALL ON orders TO PUBLIC', EITHER],
    ['change the rights on future tables', DEFAULT_RIGHTS, DENIED],
    ['drop its own rights', `DROP OWNED BY ${role}`, EITHER],
    ['become the owner of a table', `ALTER TABLE orders OWNER TO ${role}`, DENIED],
  ];
}

const fn = (name: string) => `CREATE FUNCTION ${name}() RETURNS int LANGUAGE sql AS 'SELECT 1'`;
const operator = (name: string) =>
  `CREATE OPERATOR ${name} (FUNCTION = pg_catalog.texteq, LEFTARG = text, RIGHTARG = text)`;
const trigger = (table: string) =>
  `CREATE TRIGGER mine BEFORE UPDATE ON ${table} EXECUTE FUNCTION suppress_redundant_updates_trigger()`;
const EVENT_TRIGGER =
  'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION order_jobs_keep()';
const DEFAULT_RIGHTS = 'ALTER DEFAULT PRIVILEGES FOR ROLE oms_owner GRANT ALL ON TABLES TO PUBLIC';
const ADD_STEP = `INSERT INTO order_transitions VALUES ('CANCELLED', 'COMPLETED', 'why not')`;
const END_SESSION = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1`;
const EMIT_BYTES = `SELECT pg_logical_emit_message(false, 'a', 'mine'::bytea)`;
const KEEP_MIGRATE = 'BEGIN; LOCK TABLE migrations IN SHARE UPDATE EXCLUSIVE MODE';

const TEMPORARY_OBJECTS: Attack[] = [
  ['create a temporary table', 'CREATE TEMPORARY TABLE orders (id int)', DENIED],
  ['create a temporary view', 'CREATE TEMPORARY VIEW orders AS SELECT 1', DENIED],
  ['create a temporary function', fn('pg_temp.now'), DENIED],
  ['create a temporary operator', operator('pg_temp.='), DENIED],
  ['create a temporary domain', 'CREATE DOMAIN pg_temp.uuid AS text', DENIED],
];

const OBJECTS: Attack[] = [
  ['create a schema', 'CREATE SCHEMA mine', DENIED],
  ['create a cast', 'CREATE CAST (text AS uuid) WITH INOUT AS IMPLICIT', DENIED],
  ['create a trigger', trigger('orders'), DENIED],
  ['create a trigger on a job table', trigger('pgboss.job_common'), DENIED],
  ['create a row policy', 'CREATE POLICY mine ON orders', DENIED],
  ['create a rule', 'CREATE RULE mine AS ON INSERT TO orders DO NOTHING', DENIED],
  ['create a role', 'CREATE ROLE mine SUPERUSER', DENIED],
  ['create a database', 'CREATE DATABASE mine', DENIED],
  ['create an extension', 'CREATE EXTENSION dblink', EITHER],
  ['create an event trigger', EVENT_TRIGGER, DENIED],
  ['create a publication', 'CREATE PUBLICATION mine', DENIED],
];

const SWITCHES: Attack[] = [
  ['switch triggers off', 'SET session_replication_role = replica', DENIED],
  ['switch the triggers of orders off', 'ALTER TABLE orders DISABLE TRIGGER ALL', DENIED],
  [
    'change a setting of the database',
    ({ database }) => `ALTER DATABASE ${database} SET search_path = x`,
    DENIED,
  ],
  ['change a setting of the server', 'ALTER SYSTEM SET fsync = off', DENIED],
  ['end a session of the superuser', END_SESSION, DENIED],
];

const FILES: Attack[] = [
  ['read a file', `SELECT pg_read_file('PG_VERSION')`, DENIED],
  ['list files', `SELECT pg_ls_dir('.')`, DENIED],
  ['write a file', `COPY (SELECT 1) TO '/tmp/mine'`, DENIED],
  ['run a program', `COPY (SELECT 1) TO PROGRAM 'true'`, DENIED],
  ['import a file', `SELECT lo_import('/etc/passwd')`, DENIED],
  ['store a large object', `SELECT lo_from_bytea(0, 'mine')`, DENIED],
  ['make a large object by number', 'SELECT lo_create(0)', DENIED],
  ['make a large object by mode', 'SELECT lo_creat(-1)', DENIED],
  ['write to a large object', `SELECT lo_put(1, 0, 'mine')`, DENIED],
  ['write to an open large object', `SELECT lowrite(0, 'mine')`, DENIED],
  ['write text into the WAL', `SELECT pg_logical_emit_message(false, 'a', 'mine')`, DENIED],
  ['write bytes into the WAL', EMIT_BYTES, DENIED],
];

const SECRETS: Attack[] = [
  ['read password hashes of roles', 'SELECT rolpassword FROM pg_authid', DENIED],
  ['read password hashes of customers', 'SELECT password_hash FROM users', DENIED],
  ['read refresh tokens', 'SELECT token_hash FROM refresh_tokens', DENIED],
  ['read stored replies', 'SELECT body FROM idempotency_keys', DENIED],
  ['read the statements that pg-boss has still to run', 'SELECT command FROM pgboss.bam', DENIED],
];

const RECORDS: Attack[] = [
  ['change an event that is recorded', `UPDATE order_events SET actor = 'x'`, DENIED],
  ['write an event', `INSERT INTO order_events (order_id) SELECT gen_random_uuid()`, DENIED],
  ['add a step to the lifecycle', ADD_STEP, DENIED],
];

const QUEUE: Attack[] = [
  ['create a queue', `SELECT pgboss.create_queue('mine', '{}')`, DENIED],
  ['delete a queue', `SELECT pgboss.delete_queue('process-order')`, DENIED],
  ['run a statement on every job table', `SELECT pgboss.job_table_run('SELECT 1')`, DENIED],
  ['name the table of a queue', `UPDATE pgboss.queue SET table_name = 'mine'`, DENIED],
  ['leave a statement for migrate to run', `INSERT INTO pgboss.bam (name) VALUES ('x')`, DENIED],
  ['take the lock that migrate needs', KEEP_MIGRATE, DENIED],
];
