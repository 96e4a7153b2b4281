import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import {
  column,
  editableSources,
  migratedDatabase,
  objectsOf,
} from '../../../test/support/migrating.ts';
import { CHANGED_VIEW, foreignRole, withSampleViews } from '../../../test/support/sample-views.ts';

test('a view that was changed by hand is restored', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query('CREATE OR REPLACE VIEW ops.sample AS SELECT 7 AS one, 8 AS two');

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1, two: 2 }]);
});

test('a function that was changed by hand is restored', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const source = `SELECT prosrc || proowner::regrole FROM pg_proc WHERE proname = 'order_steps'`;
  const before = await column(client, source);
  await client.query(`
    CREATE OR REPLACE FUNCTION order_steps(from_status order_status, to_status order_status)
    RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1'`);

  await migrate();

  t.deepEqual(await column(client, source), before);
});

test('migrate does not wait for a session that reads a view when the view does not change', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query('BEGIN; SELECT one FROM ops.on_top; SELECT queue FROM ops.queues');

  await t.notThrowsAsync(migrate({ sources, timeoutMs: 0 }));

  await client.query('COMMIT');
});

test('views and functions that are no longer in a file are dropped', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await sources.define(
    'ops/f.sql',
    `CREATE OR REPLACE FUNCTION ops.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  );
  await migrate({ sources });
  for (const name of ['ops/f', 'ops/on_top', 'ops/sample']) await sources.remove(`${name}.sql`);

  await migrate({ sources });

  const left = (await objectsOf(client)).filter((object) => /(sample|on_top|f\(\))/.test(object));
  t.deepEqual(left, []);
  t.deepEqual(
    await column(client, `SELECT name FROM definitions WHERE name ~ 'sample|on_top'`),
    [],
  );
});

test('migrate refuses to drop a view while a foreign view depends on it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT one FROM ops.sample');
  for (const name of ['ops/on_top', 'ops/sample']) await sources.remove(`${name}.sql`);
  const before = await objectsOf(client);

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

  t.regex(
    error.message,
    /^view public\.bi_queues depends on ops\.sample, which this version no longer has/,
  );
  t.deepEqual(await objectsOf(client), before);
});

test('migrate refuses to drop a view while a foreign role has rights on it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  const role = await foreignRole(t);
  await client.query(`GRANT SELECT ON ops.on_top TO ${role}`);
  await sources.remove('ops/on_top.sql');

  await t.throwsAsync(migrate({ sources }), {
    message: new RegExp(
      `^role ${role} has rights on ops\\.on_top, which this version no longer has`,
    ),
  });

  t.deepEqual((await client.query('TABLE ops.on_top')).rows, [{ one: 1 }]);
});

test('foreign views and functions in the schemas of the service stay', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  await client.query(`
    CREATE VIEW ops.theirs AS SELECT 1 AS one;
    CREATE FUNCTION audit.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1';
  `);

  await migrate();

  await t.notThrowsAsync(client.query('SELECT one, audit.theirs() FROM ops.theirs'));
});

test('views and functions that a person made as oms_owner stay', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  const role = await foreignRole(t);
  await client.query(`
    SET ROLE oms_owner;
    CREATE VIEW public.my_report AS SELECT 1 AS one;
    CREATE FUNCTION ops.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
    RESET ROLE;
    GRANT SELECT ON public.my_report TO ${role};
  `);
  await sources.define('ops/sample.sql', CHANGED_VIEW); // so that all definitions run

  await migrate({ sources });
  await migrate({ sources });

  t.deepEqual((await client.query('SELECT one, ops.mine() AS mine FROM my_report')).rows, [
    { one: 1, mine: 1 },
  ]);
});

test('a function can belong to an owner role, and the role may create nothing after migrate', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  for (const [schema, owner] of [
    ['public', 'oms_door'],
    ['ops', 'oms_placer'],
  ] as const) {
    await sources.define(
      `${schema === 'ops' ? 'ops' : 'functions'}/door.sql`,
      `CREATE OR REPLACE FUNCTION ${schema}.door() RETURNS int LANGUAGE sql SECURITY DEFINER
       SET search_path = public, pg_temp AS 'SELECT 1';
       ALTER FUNCTION ${schema}.door() OWNER TO ${owner};`,
    );
  }

  await migrate({ sources });
  await migrate({ sources });

  const owners = `SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'door' ORDER BY 1`;
  t.deepEqual(await column(client, owners), ['oms_door', 'oms_placer']);
  const may = `SELECT format('%s %s', nspname, rolname) FROM pg_namespace, pg_roles
    WHERE nspname IN ('public', 'ops', 'audit') AND rolname IN ('oms_door', 'oms_placer')
      AND has_schema_privilege(rolname, nspname, 'CREATE')`;
  t.deepEqual(await column(client, may), []);
});
