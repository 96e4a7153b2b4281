/*
 * Tests of what a stolen login can do. Each attack is one test: the statement gets the expected SQLSTATE, or has no
 * effect, and the database is the same afterwards.
 */
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { test, signUp, type Context } from './context.ts';
import { exhaustRetries } from './dba.ts';
import { contents, logIn, type Login } from './logins.ts';
import { databaseUrl } from './template.ts';

/** What attacks aim at. */
type Targets = {
  database: string;
  user: string;
  /** PENDING, of the user; placed under the key `known` by POST /orders. */
  order: string;
  /** PENDING, of another user. */
  other: string;
  /** An order without retries left; `letter` is its dead letter. */
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

/** The SQLSTATE of a missing right. */
export const DENIED = '42501';
/** In place of a SQLSTATE: the statement may be refused with any SQLSTATE, or be allowed and have no effect. */
export const EITHER = 'either';
/**
 * Apart from DENIED, these mean that Postgres refuses the statement before it checks rights: for a view that cannot be
 * written (55000), for an object that is not a table (42809), before version 17 for MERGE into any view (0A000).
 */
const REFUSALS = new Set([DENIED, '55000', '42809', '0A000']);

/** Registers one test for each attack: it gets its SQLSTATE, and the database has not changed. */
export function testAttacks(who: string, role: Login, attacks: Attack[]): void {
  for (const [goal, statement, code] of attacks) {
    test.serial(`${who} cannot ${goal}`, async (t) => {
      const { admin, targets } = await prepare(t);
      const before = await contents(admin);
      const client = await logIn(t, role);
      await client.query('SET default_transaction_read_only = off'); // every login may do this
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

/** Registers tests: a login can write only the listed tables, and call only the listed functions. */
export function testNothingElse(
  who: string,
  role: Login,
  { writes = [], calls = [] }: { writes?: string[]; calls?: string[] } = {},
): void {
  for (const [verb, statement] of Object.entries(WRITES)) {
    test.serial(`${who} cannot ${verb} any table or view that is not on its list`, async (t) => {
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

  test.serial(`${who} cannot call a function that is not on its list`, async (t) => {
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

/** A connection of the superuser, and the targets. A test file makes them once. */
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
  admin.on('error', () => undefined); // the connection ends when the database is dropped
  await admin.connect();
  const ada = await signUp(t.context);
  const bob = await signUp(t.context);
  const kettle = { product_name: 'Kettle', amount: '34.90' };
  const done = await ada.place();
  await admin.query(`SELECT order_ids FROM process_orders(1, 'a-worker:1')`);
  const givenUp = await ada.place();
  const letter = await exhaustRetries(t.context.deps, givenUp);
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
