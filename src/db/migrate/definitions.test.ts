import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { ReadableError } from '../../process.ts';
import { test, type Context } from '../../../test/support/context.ts';
import {
  column,
  editableSources,
  migratedDatabase,
  objectsOf,
  type Migrating,
} from '../../../test/support/migrating.ts';
import { onServer } from '../../../test/support/template.ts';
import { OUR_ROLES } from './ours.ts';

const OLD_VIEW = 'CREATE OR REPLACE VIEW ops.sample AS SELECT 1 AS one, 2 AS two;';
const NEW_VIEW = 'CREATE OR REPLACE VIEW ops.sample AS SELECT 1 AS one;';
const ON_TOP = 'CREATE OR REPLACE VIEW ops.on_top AS SELECT one FROM ops.sample;';

/** A database with two views more than ours, and a copy of sql/ that they are in. */
async function withSamples(t: ExecutionContext<Context>) {
  const migrating = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.define('ops/sample.sql', OLD_VIEW);
  await sources.define('ops/on_top.sql', ON_TOP);
  await migrating.migrate({ sources });
  return { ...migrating, sources };
}

async function foreignRole(t: ExecutionContext<Context>): Promise<string> {
  const role = `bi_${randomBytes(4).toString('hex')}`;
  await onServer(`CREATE ROLE ${role}`);
  t.teardown(() => onServer(`DROP ROLE ${role}`).catch(() => undefined));
  return role;
}

const columnsOf = ({ client }: Pick<Migrating, 'client'>, view: string) =>
  column(
    client,
    `SELECT attname::text FROM pg_attribute WHERE attrelid = '${view}'::regclass AND attnum > 0`,
  );

test('a view of others, and their rights, survive that ours is replaced', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  const role = await foreignRole(t);
  await client.query(`
    CREATE VIEW public.bi_queues AS SELECT one FROM ops.sample;
    GRANT SELECT ON ops.sample TO ${role};
  `);
  await sources.define('ops/sample.sql', OLD_VIEW.replace('2 AS two', '3 AS two, 4 AS four'));

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1, two: 3, four: 4 }]);
  t.deepEqual((await client.query('TABLE public.bi_queues')).rows, [{ one: 1 }]);
  const granted = await column(
    client,
    `SELECT has_table_privilege('${role}', 'ops.sample', 'SELECT')::text`,
  );
  t.deepEqual(granted, ['true']);
});

test('a view whose columns change is made again, and with it ours that use it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await sources.define('ops/sample.sql', NEW_VIEW);

  await migrate({ sources });

  t.deepEqual(await columnsOf({ client }, 'ops.sample'), ['one']);
  t.deepEqual((await client.query('TABLE ops.on_top')).rows, [{ one: 1 }]);
});

test('a view whose columns change is refused while a view of others uses it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT one FROM ops.sample');
  await sources.define('ops/sample.sql', NEW_VIEW);
  const before = await objectsOf(client);

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

  t.regex(
    error.message,
    /^view public\.bi_queues depends on ops\.sample, whose columns change: drop it first/,
  );
  t.deepEqual(await objectsOf(client), before);
});

test('a view whose columns change is refused while a view of others uses one on top of it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT one FROM ops.on_top');
  await sources.define('ops/sample.sql', NEW_VIEW);

  await t.throwsAsync(migrate({ sources }), {
    message: /^view public\.bi_queues depends on ops\.sample/,
  });
});

for (const rights of ['SELECT', 'SELECT (one)']) {
  test(`a view whose columns change is refused while a role of others may ${rights}`, async (t) => {
    const { client, migrate, sources } = await withSamples(t);
    const role = await foreignRole(t);
    await client.query(`GRANT ${rights} ON ops.on_top TO ${role}`);
    await sources.define('ops/sample.sql', NEW_VIEW);

    const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

    t.regex(error.message, new RegExp(`^role ${role} has rights on ops\\.on_top`));
    t.deepEqual(await columnsOf({ client }, 'ops.sample'), ['one', 'two']);
  });
}

test('a view that was changed by hand is put right', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query('CREATE OR REPLACE VIEW ops.sample AS SELECT 7 AS one, 8 AS two');

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1, two: 2 }]);
});

test('who reads a view for hours does not stop a migrate that leaves it as it is', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query('BEGIN; SELECT one FROM ops.on_top; SELECT queue FROM ops.queues');

  await t.notThrowsAsync(migrate({ sources, patienceMs: 0 }));

  await client.query('COMMIT');
});

test('views and functions that are in no file any more are dropped', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
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

test('a view that is in no file any more is kept, and named, while others use it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
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

test('views and functions of others in our schemas stay', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  await client.query(`
    CREATE VIEW ops.theirs AS SELECT 1 AS one;
    CREATE FUNCTION audit.theirs() RETURNS int LANGUAGE sql AS 'SELECT 1';
  `);

  await migrate();

  await t.notThrowsAsync(client.query('SELECT one, audit.theirs() FROM ops.theirs'));
});

test('views and functions stay that a person made as one of our roles', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  const role = await foreignRole(t);
  await client.query(`
    SET ROLE oms_owner;
    CREATE VIEW public.my_report AS SELECT 1 AS one;
    CREATE FUNCTION ops.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
    RESET ROLE;
    GRANT SELECT ON public.my_report TO ${role};
  `);
  await sources.define('ops/sample.sql', NEW_VIEW); // so that all definitions run

  await migrate({ sources });
  await migrate({ sources });

  t.deepEqual((await client.query('SELECT one, ops.mine() AS mine FROM my_report')).rows, [
    { one: 1, mine: 1 },
  ]);
});

test('a view of a person who has taken on our role is not dropped with ours', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query(`
    SET ROLE oms_owner; CREATE VIEW public.my_report AS SELECT one FROM ops.sample; RESET ROLE`);
  await sources.define('ops/sample.sql', NEW_VIEW);

  await t.throwsAsync(migrate({ sources }), {
    message: /^view public\.my_report depends on ops\.sample, whose columns change/,
  });
});

test('a view that is in no file any more is kept while a role of others has rights on it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
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

test('a function that was changed by hand is put right', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const source = `SELECT prosrc || proowner::regrole FROM pg_proc WHERE proname = 'order_steps'`;
  const before = await column(client, source);
  await client.query(`
    CREATE OR REPLACE FUNCTION order_steps(from_status order_status, to_status order_status)
    RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1'`);

  await migrate();

  t.deepEqual(await column(client, source), before);
});

test('a function whose result changes is made again, and with it the views that call it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  const define = (type: string, value: string) =>
    sources.define(
      'ops/on_top.sql',
      `CREATE OR REPLACE FUNCTION ops.f(a int) RETURNS ${type} LANGUAGE sql AS $$ SELECT ${value} $$;
       CREATE OR REPLACE VIEW ops.calls AS SELECT ops.f(1)::text AS f;`,
    );
  await define('int', '7');
  await migrate({ sources });
  await define('text', `'seven'::text`);

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.calls')).rows, [{ f: 'seven' }]);
});

test('a function whose parameters change takes along the views that call it', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  const define = (type: string) =>
    sources.define(
      'ops/on_top.sql',
      `CREATE OR REPLACE FUNCTION ops.f(a ${type}) RETURNS text LANGUAGE sql AS $$ SELECT '${type}' $$;
       CREATE OR REPLACE VIEW ops.calls AS SELECT ops.f('1') AS f;`,
    );
  await define('integer');
  await migrate({ sources });
  await define('numeric');

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.calls')).rows, [{ f: 'numeric' }]);
  t.deepEqual(
    await column(client, `SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'f'`),
    ['ops.f(numeric)'],
  );
});

test('a function may be given to an owner of doors, who may create nothing afterwards', async (t) => {
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

test('every role that sql/roles.sql makes counts as one of ours', async (t) => {
  const { client } = await migratedDatabase(t);

  const roles = await column(
    client,
    `SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'oms\\_%' AND rolname NOT LIKE 'oms\\_test\\_%'`,
  );

  t.true(roles.length >= 9);
  for (const role of roles) t.true(OUR_ROLES.includes(role), role);
});
