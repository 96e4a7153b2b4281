import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { pino } from 'pino';
import { migrate } from '../../src/migrate.ts';
import { test, type Context } from '../support/context.ts';
import { LOGINS } from '../support/logins.ts';
import { connect, migratedDatabase } from '../support/migrating.ts';
import { databaseUrl, onServer, testConfig } from '../support/template.ts';
import { OWN_SOURCES, readSql } from '../../src/db/migrate/sources.ts';

type Wanted = { grantee: string; privileges: string; objects: string; reason: string };

/** Every right in the database, without those of owners, as `grantee: privilege kind name(column)`. */
const RIGHTS = `
  SELECT concat(coalesce(r.rolname, 'PUBLIC'), ': ', a.privilege_type, CASE WHEN a.is_grantable THEN '*' END, ' ',
    a.what) AS right
  FROM (
    SELECT 'SCHEMA ' || n.nspname AS what, n.nspowner AS owner, x.*
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT 'TABLE ' || c.oid::regclass, c.relowner, x.*
    FROM pg_class AS c, aclexplode(c.relacl) AS x
    WHERE c.oid >= 16384 AND c.relnamespace::regnamespace::text !~ '^pg_temp'
    UNION ALL
    SELECT format('TABLE %s(%I)', c.oid::regclass, t.attname), c.relowner, x.*
    FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS x
    WHERE c.oid >= 16384
    UNION ALL
    SELECT 'FUNCTION ' || p.oid::regprocedure, p.proowner, x.*
    FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
    WHERE p.oid >= 16384
    UNION ALL
    SELECT 'DATABASE', d.datdba, x.*
    FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
    WHERE d.datname = current_database()
    UNION ALL
    SELECT 'TYPE ' || t.oid::regtype, t.typowner, x.* FROM pg_type AS t, aclexplode(t.typacl) AS x WHERE t.oid >= 16384
    UNION ALL
    SELECT 'DEFAULT ' || d.defaclobjtype::text, d.defaclrole, x.* FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS x
    UNION ALL
    SELECT 'LARGE OBJECT ' || l.oid, l.lomowner, x.* FROM pg_largeobject_metadata AS l, aclexplode(l.lomacl) AS x
    UNION ALL
    SELECT 'PARAMETER ' || p.parname, 10, x.* FROM pg_parameter_acl AS p, aclexplode(p.paracl) AS x
  ) AS a
  LEFT JOIN pg_roles AS r ON r.oid = a.grantee
  WHERE a.grantee <> a.owner
`;

/** The rights that sql/grants.sql does not list: sql/database.sql and Postgres itself grant them. */
const NOT_LISTED = [
  'PUBLIC: CONNECT DATABASE',
  'PUBLIC: USAGE SCHEMA public',
  'oms_owner: CREATE DATABASE',
  'oms_owner: SET PARAMETER deadlock_timeout',
  'oms_owner: TEMPORARY DATABASE',
  'oms_owner: CREATE* SCHEMA public',
  'oms_owner: USAGE* SCHEMA public',
  'oms_queue: CREATE DATABASE',
];

test('the rights in the database are exactly those on the list', async (t) => {
  const admin = await asAdmin(t);
  const { rights } = await wantedRights(admin);

  const actual = await rightsOf(admin);

  t.deepEqual(actual, [...new Set([...rights, ...NOT_LISTED])].toSorted(byCodePoint));
});

test('each right on the list has a reason', async (t) => {
  const { wanted } = await wantedRights(await asAdmin(t));

  t.true(wanted.length > 100);
  t.deepEqual(
    wanted.filter(({ reason }) => !reason || reason.trim().length < 5),
    [],
  );
});

test('no login owns or creates objects, or is a member of an unlisted role', async (t) => {
  const admin = await asAdmin(t);

  const { rows } = await admin.query(
    `SELECT r.rolname FROM pg_roles AS r
     WHERE r.rolname = ANY ($1) AND (
       rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
       OR has_database_privilege(r.oid, current_database(), 'CREATE')
       OR has_database_privilege(r.oid, current_database(), 'TEMPORARY')
       OR EXISTS (SELECT FROM pg_namespace AS n
         WHERE n.nspname !~ '^pg_temp' AND has_schema_privilege(r.oid, n.oid, 'CREATE'))
       OR EXISTS (SELECT FROM pg_tablespace AS s
         WHERE has_tablespace_privilege(r.oid, s.oid, 'CREATE') AND spcname <> 'pg_default')
       OR EXISTS (SELECT FROM pg_shdepend AS d WHERE d.refobjid = r.oid AND d.deptype = 'o'
         AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
     )`,
    [[...LOGINS, 'oms_placer', 'oms_accounts', 'oms_door']],
  );
  const memberships = await admin.query(
    `SELECT concat(m.member::regrole, ' in ', m.roleid::regrole) AS membership
     FROM pg_auth_members AS m WHERE m.member::regrole::text LIKE 'oms\\_%' AND m.member::regrole::text !~ 'oms_test'
     ORDER BY 1`,
  );

  t.deepEqual(withoutFunctions(rows), []);
  t.deepEqual(
    memberships.rows.map(({ membership }) => membership),
    [
      'oms_dba in oms_dba_read',
      'oms_dba_read in pg_read_all_stats',
      'oms_owner in oms_accounts',
      'oms_owner in oms_door',
      'oms_owner in oms_placer',
      'oms_owner in oms_queue',
    ],
  );
});

test('a function with the rights of its owner has a pinned search_path, and an owner with few rights', async (t) => {
  const admin = await asAdmin(t);

  const { rows } = await admin.query<{ name: string; owner: string; config: string | null }>(`
    SELECT p.oid::regprocedure::text AS name, p.proowner::regrole::text AS owner,
      (SELECT c FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%') AS config
    FROM pg_proc AS p WHERE p.prosecdef AND p.oid >= 16384
  `);

  t.true(rows.length > 20);
  t.deepEqual(
    rows.filter(({ config }) => !config?.endsWith(', pg_temp')),
    [],
  );
  t.deepEqual(
    rows.filter(
      ({ name, owner }) =>
        !['oms_accounts', 'oms_door', 'oms_placer'].includes(owner) &&
        !(owner === 'oms_queue' && name === 'prepare_queue_stats()'),
    ),
    [],
  );
});

test('PUBLIC cannot call a function of the service or of the queue', async (t) => {
  const admin = await asAdmin(t);

  const { rows } = await admin.query(`
    SELECT p.oid::regprocedure::text AS name
    FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
    WHERE x.grantee = 0 AND p.pronamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
  `);

  t.deepEqual(rows, []);
});

test('a migrate keeps the grants to other roles, and removes additional grants to roles of the service', async (t) => {
  t.teardown(() => onServer('DROP ROLE IF EXISTS test_reporting')); // runs after the database of the test is dropped
  const { database } = await migratedDatabase(t);
  const admin = await connect(t, databaseUrl(database));
  await admin.query(
    `DO $$ BEGIN CREATE ROLE test_reporting; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
  );
  const before = await rightsOf(admin);
  await admin.query('GRANT SELECT ON orders, ops.queues TO test_reporting');
  await admin.query('GRANT CREATE ON SCHEMA public TO test_reporting');
  const theirs = (await rightsOf(admin)).filter((right) => !before.includes(right));
  await admin.query(`
    GRANT SELECT, UPDATE ON orders TO oms_api;
    GRANT UPDATE (status) ON orders TO oms_worker;
    GRANT SELECT ON ops.queues TO oms_api WITH GRANT OPTION;
    GRANT SELECT (id) ON orders TO oms_api WITH GRANT OPTION;
    GRANT ALL ON users TO PUBLIC;
    GRANT EXECUTE ON FUNCTION place_order, pgboss.job_now TO PUBLIC;
    GRANT ALL ON ALL TABLES IN SCHEMA pgboss TO oms_api;
    GRANT ALL ON SCHEMA pgboss, ops, audit TO oms_dba_read;
    GRANT CREATE ON SCHEMA public TO oms_api, PUBLIC;
    GRANT CREATE, TEMPORARY ON DATABASE ${database} TO oms_worker;
    GRANT TEMPORARY ON DATABASE ${database} TO PUBLIC;
    REVOKE SELECT ON ops.queues FROM oms_dba_read;
    SET ROLE oms_api; GRANT SELECT ON ops.queues TO PUBLIC; RESET ROLE;
  `);

  await migrate(testConfig(database), pino({ level: 'silent' }));

  t.is(theirs.length, 3);
  t.deepEqual(await rightsOf(admin), [...before, ...theirs].toSorted(byCodePoint));
});

async function asAdmin(t: ExecutionContext<Context>): Promise<Client> {
  return connect(t, databaseUrl(t.context.database));
}

async function rightsOf(admin: Client): Promise<string[]> {
  const { rows } = await admin.query<{ right: string }>(RIGHTS);
  return rows.map(({ right }) => right).toSorted(byCodePoint);
}

/** The list in sql/grants.sql, and the same as one line for each privilege, object and column. */
async function wantedRights(admin: Client): Promise<{ wanted: Wanted[]; rights: string[] }> {
  await admin.query('BEGIN; SET LOCAL search_path = public, pg_temp');
  await admin.query(await readSql(OWN_SOURCES, 'grants.sql'));
  const { rows: wanted } = await admin.query<Wanted>('SELECT * FROM wanted');
  const rights: string[] = [];
  for (const { grantee, privileges, objects } of wanted) {
    const [, kind = '', names = '', columns] = /^(\w+) ([^(]+?)(?: \((.*)\))?$/.exec(objects) ?? [];
    for (const name of await fullNames(admin, kind, names.split(', '))) {
      for (const privilege of privileges.split(', ')) {
        for (const column of columns?.split(', ') ?? [undefined]) {
          rights.push(`${grantee}: ${privilege} ${kind} ${name}${column ? `(${column})` : ''}`);
        }
      }
    }
  }
  await admin.query('ROLLBACK');
  return { wanted, rights };
}

/** The names as Postgres writes them: functions with their arguments. */
async function fullNames(admin: Client, kind: string, names: string[]): Promise<string[]> {
  const type = { TABLE: '::regclass', FUNCTION: '::regproc::regprocedure' }[kind] ?? '';
  const { rows } = await admin.query<{ name: string }>(
    `SELECT n.name${type}::text AS name FROM unnest($1::text[]) AS n(name)`,
    [names],
  );
  return rows.map(({ name }) => name);
}

/** Leaves out the roles whose purpose is to own functions. */
function withoutFunctions(rows: { rolname: string }[]) {
  return rows.filter(
    ({ rolname }) => !['oms_accounts', 'oms_placer', 'oms_door'].includes(rolname),
  );
}

const byCodePoint = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
