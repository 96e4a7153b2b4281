import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { test, signUp, type Context } from './context.ts';
import { giveUp } from './dba.ts';
import { contents, logIn, LOGINS, type Login } from './logins.ts';
import { databaseUrl } from './template.ts';

/** The targets of attacks. */
export type Targets = {
  database: string;
  user: string;
  /** PENDING, of the user; placed under the key `known` by POST /orders. */
  order: string;
  /** PENDING, of another user. */
  other: string;
  /** An order whose retries are used up; `letter` is its dead letter. */
  givenUp: string;
  letter: string;
  /** COMPLETED. */
  done: string;
};

/**
 * One attack: its aim, its statement, and the SQLSTATE that refuses it. Without a SQLSTATE the statement is allowed,
 * and must have no effect.
 */
export type Attack = [goal: string, statement: string | ((on: Targets) => string), code?: string];

const DENIED = '42501';
/**
 * Postgres refuses views that cannot be written, and objects that are not tables, before it checks rights. Before
 * version 17 it cannot MERGE into any view (0A000).
 */
const REFUSALS = new Set([DENIED, '55000', '42809', '0A000']);
/** Refused with any SQLSTATE, or without effect. */
const EITHER = 'either';

/** Registers one test for each attack: it is refused, and the database has not changed. */
export function testAttacks(who: string, role: Login, attacks: Attack[]): void {
  for (const [goal, statement, code] of attacks) {
    test.serial(`${who} cannot ${goal}`, async (t) => {
      const { admin, targets } = await prepare(t);
      const before = await contents(admin);
      const client = await logIn(t, role);
      await client.query('SET default_transaction_read_only = off'); // anyone may
      const text = typeof statement === 'string' ? statement : statement(targets);

      const error = await client.query(text).then(
        () => undefined,
        (thrown: Error & { code?: string }) => thrown,
      );

      if (code !== EITHER) t.is(error?.code, code, `${error?.message}: ${text}`);
      await client.query('ROLLBACK').catch(() => undefined);
      t.deepEqual(await contents(admin), before);
    });
  }
}

/** Registers tests that a login can write only the named tables, and call only the named functions. */
export function testNothingElse(
  who: string,
  role: Login,
  { writes = [], calls = [] }: { writes?: string[]; calls?: string[] } = {},
): void {
  for (const [verb, statement] of Object.entries(WRITES)) {
    test.serial(`${who} cannot ${verb} any table or view that is not listed for it`, async (t) => {
      const { admin } = await prepare(t);
      const before = await contents(admin);
      const client = await logIn(t, role);
      await client.query('SET default_transaction_read_only = off');
      const allowed: string[] = [];
      for (const { table, column } of await relations(admin)) {
        const text = statement(table, column);
        await client.query('BEGIN');
        const error = await client.query(text).then(() => undefined, codeOf);
        await client.query('ROLLBACK');
        if (!REFUSALS.has(error ?? '')) allowed.push(table);
      }
      t.deepEqual(
        allowed.filter((table) => !writes.includes(table)),
        [],
      );
      t.deepEqual(await contents(admin), before);
    });
  }

  test.serial(`${who} cannot call a function that is not listed for it`, async (t) => {
    const { admin } = await prepare(t);
    const client = await logIn(t, role);
    await client.query('SET default_transaction_read_only = off');
    const allowed: string[] = [];
    for (const { name, call } of await functions(admin)) {
      await client.query('BEGIN');
      const error = await client.query(`SELECT ${call}`).then(() => undefined, codeOf);
      await client.query('ROLLBACK');
      if (error !== DENIED) allowed.push(name);
    }
    t.deepEqual(allowed.toSorted(), calls.toSorted());
  });
}

/** Attacks of every login: to act as another role, or to make another role run its code. */
export function commonAttacks(role: Login): Attack[] {
  const others = [
    'oms_owner',
    'oms_queue',
    'oms_placer',
    'oms_accounts',
    'oms_door',
    'postgres',
    ...LOGINS,
  ];
  const inherited = role === 'oms_dba' ? ['oms_dba_read'] : [];
  const schemas = ['public', 'pgboss', 'ops', 'audit', 'pg_catalog'];
  return [
    ...others
      .filter((other) => other !== role && !inherited.includes(other))
      .flatMap((other): Attack[] => [
        [`take on ${other}`, `SET ROLE ${other}`, DENIED],
        [`log in as ${other}`, `SET SESSION AUTHORIZATION ${other}`, DENIED],
        [`change a setting of ${other}`, `ALTER ROLE ${other} SET search_path = public`, DENIED],
        [`change the password of ${other}`, `ALTER ROLE ${other} PASSWORD 'mine'`, DENIED],
        [`make itself a member of ${other}`, `GRANT ${other} TO ${role}`, DENIED],
      ]),
    ...schemas.flatMap((schema): Attack[] => [
      [`create a table in ${schema}`, `CREATE TABLE ${schema}.mine (id int)`, DENIED],
      [`create a function in ${schema}`, fn(`${schema}.mine`), DENIED],
      [`create an operator in ${schema}`, operator(`${schema}.+`), DENIED],
      [`create a domain in ${schema}`, `CREATE DOMAIN ${schema}.mine AS text`, DENIED],
    ]),
    ['create a schema', 'CREATE SCHEMA mine', DENIED],
    ['create a temporary table', 'CREATE TEMPORARY TABLE orders (id int)', DENIED],
    ['create a temporary view', 'CREATE TEMPORARY VIEW orders AS SELECT 1', DENIED],
    ['create a temporary function', fn('pg_temp.now'), DENIED],
    ['create a temporary operator', operator('pg_temp.='), DENIED],
    ['create a temporary domain', 'CREATE DOMAIN pg_temp.uuid AS text', DENIED],
    ['create a cast', 'CREATE CAST (text AS uuid) WITH INOUT AS IMPLICIT', DENIED],
    ['create a trigger', trigger('orders'), DENIED],
    ['create a trigger on a job table', trigger('pgboss.job_common'), DENIED],
    ['create a row policy', 'CREATE POLICY mine ON orders', DENIED],
    ['create a rule', 'CREATE RULE mine AS ON INSERT TO orders DO NOTHING', DENIED],
    ['create a role', 'CREATE ROLE mine SUPERUSER', DENIED],
    ['create a database', 'CREATE DATABASE mine', DENIED],
    ['create an extension', 'CREATE EXTENSION dblink', EITHER],
    ['create an event trigger', eventTrigger, DENIED],
    ['create a publication', 'CREATE PUBLICATION mine', DENIED],
    ['become a superuser', `ALTER ROLE ${role} SUPERUSER`, DENIED],
    ['get past row policies', `ALTER ROLE ${role} BYPASSRLS`, DENIED],
    ['give itself a right', `GRANT SELECT ON users TO ${role}`, DENIED],
    ['give PUBLIC a right', 'GRANT ALL ON orders TO PUBLIC', EITHER],
    ['change what others are given', defaults, DENIED],
    ['drop what it was given', `DROP OWNED BY ${role}`, EITHER],
    ['switch triggers off', 'SET session_replication_role = replica', DENIED],
    ['switch the triggers of orders off', 'ALTER TABLE orders DISABLE TRIGGER ALL', DENIED],
    ['take a table over', `ALTER TABLE orders OWNER TO ${role}`, DENIED],
    [
      'change a setting of the database',
      ({ database }) => `ALTER DATABASE ${database} SET search_path = x`,
      DENIED,
    ],
    ['change a setting of the server', 'ALTER SYSTEM SET fsync = off', DENIED],
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
    [
      'write bytes into the WAL',
      `SELECT pg_logical_emit_message(false, 'a', 'mine'::bytea)`,
      DENIED,
    ],
    ['read password hashes of roles', 'SELECT rolpassword FROM pg_authid', DENIED],
    ['read password hashes of customers', 'SELECT password_hash FROM users', DENIED],
    ['read refresh tokens', 'SELECT token_hash FROM refresh_tokens', DENIED],
    ['read stored replies', 'SELECT body FROM idempotency_keys', DENIED],
    ['read the statements that migrations left', 'SELECT command FROM pgboss.bam', DENIED],
    ['end a session of the superuser', endSession, DENIED],
    ['change an event that is recorded', `UPDATE order_events SET actor = 'x'`, DENIED],
    ['write an event', `INSERT INTO order_events (order_id) SELECT gen_random_uuid()`, DENIED],
    ['add a step to the lifecycle', addStep, DENIED],
    ['create a queue', `SELECT pgboss.create_queue('mine', '{}')`, DENIED],
    ['delete a queue', `SELECT pgboss.delete_queue('process-order')`, DENIED],
    ['run a statement on every job table', `SELECT pgboss.job_table_run('SELECT 1')`, DENIED],
    ['name the table of a queue', `UPDATE pgboss.queue SET table_name = 'mine'`, DENIED],
    ['leave a statement for migrate', `INSERT INTO pgboss.bam (name) VALUES ('x')`, DENIED],
    [
      'keep migrate from its turn',
      'BEGIN; LOCK TABLE migrations IN SHARE UPDATE EXCLUSIVE MODE',
      DENIED,
    ],
  ];
}

const fn = (name: string) => `CREATE FUNCTION ${name}() RETURNS int LANGUAGE sql AS 'SELECT 1'`;
const operator = (name: string) =>
  `CREATE OPERATOR ${name} (FUNCTION = pg_catalog.texteq, LEFTARG = text, RIGHTARG = text)`;
const trigger = (table: string) =>
  `CREATE TRIGGER mine BEFORE UPDATE ON ${table} EXECUTE FUNCTION suppress_redundant_updates_trigger()`;
const eventTrigger =
  'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION order_jobs_keep()';
const defaults = 'ALTER DEFAULT PRIVILEGES FOR ROLE oms_owner GRANT ALL ON TABLES TO PUBLIC';
const addStep = `INSERT INTO order_transitions VALUES ('CANCELLED', 'COMPLETED', 'why not')`;
const endSession = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1`;

const WRITES: Record<string, (table: string, column: string) => string> = {
  'insert into': (table) => `INSERT INTO ${table} DEFAULT VALUES`,
  update: (table, column) => `UPDATE ${table} SET ${column} = DEFAULT`,
  'delete from': (table) => `DELETE FROM ${table}`,
  'merge into': (table) =>
    `MERGE INTO ${table} AS t USING (SELECT 1) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES`,
  truncate: (table) => `TRUNCATE ${table}`,
  'lock the rows of': (table) => `SELECT 1 FROM ${table} FOR KEY SHARE`,
  'lock for itself': (table) => `LOCK TABLE ${table} IN ROW EXCLUSIVE MODE`,
};

function codeOf(error: Error & { code?: string }): string | undefined {
  return error.code;
}

async function relations(admin: Client) {
  const { rows } = await admin.query<{ table: string; column: string }>(`
    SELECT c.oid::regclass::text AS table, (
      SELECT quote_ident(a.attname) FROM pg_attribute AS a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum = 2 DESC LIMIT 1
    ) AS column
    FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
    ORDER BY 1
  `);
  return rows;
}

async function functions(admin: Client) {
  const { rows } = await admin.query<{ name: string; call: string }>(`
    SELECT format('%s.%s', p.pronamespace::regnamespace, p.proname) AS name,
      format('%s.%I(%s)', p.pronamespace::regnamespace, p.proname, (
        SELECT string_agg(format('NULL::%s', a::regtype), ', ' ORDER BY n)
        FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u(a, n)
      )) AS call
    FROM pg_proc AS p
    WHERE p.pronamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
    ORDER BY 1
  `);
  return rows;
}

const prepared = new WeakMap<object, Promise<{ admin: Client; targets: Targets }>>();

/** The superuser's connection and the targets of a test file, made once. */
export function prepare(
  t: ExecutionContext<Context>,
): Promise<{ admin: Client; targets: Targets }> {
  const key = t.context.deps;
  const made = prepared.get(key) ?? makeTargets(t);
  prepared.set(key, made);
  return made;
}

async function makeTargets(t: ExecutionContext<Context>) {
  const admin = new Client(databaseUrl(t.context.database));
  admin.on('error', () => undefined); // it ends with the database
  await admin.connect();
  const ada = await signUp(t.context);
  const bob = await signUp(t.context);
  const kettle = { product_name: 'Kettle', amount: '34.90' };
  const done = await ada.place();
  await admin.query(`SELECT order_ids FROM process_orders(1, 'a-worker:1')`);
  const givenUp = await ada.place();
  const letter = await giveUp(t.context.deps, givenUp);
  const reply = await ada.request('POST', '/orders', kettle, { 'idempotency-key': 'known' });
  const order = reply.body.id;
  const { database } = t.context;
  const targets = {
    database,
    user: ada.id,
    order,
    other: await bob.place(),
    givenUp,
    letter,
    done,
  };
  return { admin, targets };
}
