import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import {
  editableSources,
  emptyToMigrate,
  migratedDatabase,
  objectsOf,
} from '../../../test/support/migrating.ts';

const REFUSED = 'This database has objects that migrate did not make, with names that it needs: ';

const conflicts: [what: string, make: string, named: string][] = [
  ['a table', 'CREATE TABLE public.users (id int)', 'table public.users'],
  ['the table of migrations', 'CREATE TABLE public.migrations (id int)', 'table public.migrations'],
  [
    'an index',
    'CREATE TABLE t (id int CONSTRAINT orders_pk PRIMARY KEY)',
    'index public.orders_pk',
  ],
  ['a type', `CREATE TYPE public.order_status AS ENUM ('NEW')`, 'type public.order_status'],
  ['a schema of the service', 'CREATE SCHEMA ops', 'schema ops'],
  ['the schema of the queue', 'CREATE SCHEMA pgboss', 'schema pgboss'],
  [
    'a function',
    `CREATE FUNCTION public.place_order(int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    'function public.place_order(integer)',
  ],
  [
    'a table of oms_owner',
    'CREATE TABLE public.orders (id int); ALTER TABLE public.orders OWNER TO oms_owner',
    'table public.orders',
  ],
];

for (const [what, make, named] of conflicts) {
  test(`${what} with a name that migrate needs is reported at once, and does not change`, async (t) => {
    const { client, logged, migrate } = await emptyToMigrate(t);
    await client.query(make);
    const before = await objectsOf(client);

    const error = await t.throwsAsync(migrate(), { instanceOf: ReadableError });

    t.is(error.message, `${REFUSED}${named}. Rename or drop them, or use another database.`);
    t.deepEqual(logged, []);
    t.deepEqual(await objectsOf(client), before);
  });
}

test('an object that a person made as oms_owner is reported when a new version needs its name', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await client.query(`
    SET ROLE oms_owner;
    CREATE VIEW ops.sample AS SELECT 1 AS one;
    CREATE FUNCTION ops.explain_job(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    RESET ROLE;
  `);
  await sources.define('ops/sample.sql', 'CREATE OR REPLACE VIEW ops.sample AS SELECT 2 AS one;');

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

  t.true(
    error.message.startsWith(`${REFUSED}function ops.explain_job(integer), view ops.sample. `),
    error.message,
  );
  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1 }]);
});
