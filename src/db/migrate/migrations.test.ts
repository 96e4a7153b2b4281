import { readdir } from 'node:fs/promises';
import { queues } from '../../../jobs/queues.ts';
import { ownService, test } from '../../../test/support/context.ts';
import {
  column,
  editableSources,
  emptyToMigrate,
  migratedDatabase,
  objectsOf,
} from '../../../test/support/migrating.ts';
import { openPool } from '../pool.ts';
import { schemaState } from '../schema-version.ts';
import { definitionFiles } from './definition-files.ts';
import { MigrationEdited, newestMigration } from './migrations.ts';

const DIR = new URL('../../../sql/', import.meta.url);
const TABLES = `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`;

async function filesIn(folder: string): Promise<string[]> {
  const files = await readdir(new URL(`${folder}/`, DIR));
  return files.filter((file) => file.endsWith('.sql')).sort();
}

test('migrate makes an empty database ready for the service', async (t) => {
  const { client, migrate } = await emptyToMigrate(t);

  await migrate();

  t.deepEqual(
    await column(client, 'SELECT name FROM migrations ORDER BY name'),
    (await filesIn('migrations')).map((file) => file.replace(/\.sql$/, '')),
  );
  const known = await column(client, 'SELECT name FROM pgboss.queue');
  for (const queue of Object.keys(queues)) t.true(known.includes(queue), queue);
  const views = await column(
    client,
    `SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname IN ('ops', 'audit')`,
  );
  t.true(views.length >= 10);
  for (const view of views) await t.notThrowsAsync(client.query(`TABLE ${view} LIMIT 1`), view);
});

test('the list of definition files names every file once', async (t) => {
  const folders = ['functions', 'ops', 'audit'];
  const files = folders.map(async (folder) =>
    (await filesIn(folder)).map((file) => `${folder}/${file}`),
  );

  t.deepEqual(definitionFiles.toSorted(), (await Promise.all(files)).flat().toSorted());
});

test('migrating again changes nothing', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const written = `
    SELECT 'queue ' || name || ' ' || xmin FROM pgboss.queue
    UNION ALL SELECT 'schedule ' || name || ' ' || xmin FROM pgboss.schedule
    UNION ALL SELECT 'version ' || xmin FROM pgboss.version
    UNION ALL SELECT 'migration ' || name || ' ' || xmin FROM migrations
    UNION ALL SELECT 'definition ' || name || ' ' || xmin FROM definitions
    UNION ALL SELECT 'trigger ' || tgname || ' ' || xmin FROM pg_trigger
    UNION ALL SELECT 'schema ' || nspname || ' ' || xmin FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'relation ' || oid || ' ' || xmin FROM pg_class
    UNION ALL SELECT 'column ' || attrelid || attname || ' ' || xmin FROM pg_attribute
    UNION ALL SELECT 'rule ' || oid || ' ' || xmin FROM pg_rewrite
    UNION ALL SELECT 'function ' || oid || ' ' || xmin FROM pg_proc
    UNION ALL SELECT 'comment ' || objoid || ' ' || objsubid || ' ' || xmin FROM pg_description
    UNION ALL SELECT 'database ' || xmin FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT 'transition ' || from_status || to_status || ' ' || xmin FROM order_transitions
    ORDER BY 1
  `;
  const [rows, objects] = [await column(client, written), await objectsOf(client)];

  await migrate();

  t.deepEqual(await column(client, written), rows);
  t.deepEqual(await objectsOf(client), objects);
});

test('migrate refuses when an applied migration was edited', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  const before = await objectsOf(client);
  await sources.append('migrations/0001_users.sql', '\n');
  await sources.write('migrations/9000_more.sql', 'CREATE TABLE more (id int);');

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: MigrationEdited });

  t.regex(error.message, /0001_users/);
  t.notRegex(error.message, /0002_orders/);
  t.deepEqual(await objectsOf(client), before);
});

test('migrate refuses when an applied migration was removed', async (t) => {
  const { migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.remove('migrations/0002_orders.sql');

  await t.throwsAsync(migrate({ sources }), {
    instanceOf: MigrationEdited,
    message: /0002_orders/,
  });
});

test('a new migration is applied once, and earlier ones are not applied again', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  const before = await objectsOf(client);
  await sources.write('migrations/9000_more.sql', 'CREATE TABLE more (id int);');

  await migrate({ sources });
  await migrate({ sources });

  const added = (await objectsOf(client)).filter((object) => !before.includes(object));
  t.deepEqual(
    added.map((object) => object.split(' ')[1]),
    ['more'],
  );
});

test('a new migration with a number before an applied one is refused', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.write('migrations/0001_z_late.sql', 'CREATE TABLE late (id int);');

  await t.throwsAsync(migrate({ sources }), { instanceOf: MigrationEdited, message: /in order/ });

  t.false((await column(client, TABLES)).includes('late'));
});

test('a migration with a COMMIT is refused', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.write('migrations/9000_more.sql', 'CREATE TABLE more (id int); COMMIT;');

  await t.throwsAsync(migrate({ sources }), { message: /9000_more must not contain COMMIT/ });

  t.false((await column(client, TABLES)).includes('more'));
});

/** The steps that can fail, and how a test makes each of them fail. */
const failures = {
  migration: (sources) =>
    sources.write('migrations/9001_bad.sql', 'CREATE TABLE bad (id int); SELECT 1 / 0;'),
  definition: (sources) =>
    sources.define('ops/bad.sql', 'CREATE VIEW ops.bad AS TABLE no_such_table;'),
  trigger: (sources) =>
    sources.define(
      'functions/bad.sql',
      'CREATE OR REPLACE TRIGGER bad BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no();',
    ),
  grant: (sources) => sources.append('grants.sql', 'GRANT SELECT ON no_such_table TO oms_api;'),
} satisfies Record<string, (sources: Awaited<ReturnType<typeof editableSources>>) => Promise<void>>;

for (const [what, makeFail] of Object.entries(failures)) {
  test(`when a ${what} fails, nothing changes, and the service can still use the database`, async (t) => {
    const { client, config, log, migrate } = await migratedDatabase(t);
    const sources = await editableSources(t);
    await sources.write('migrations/9000_more.sql', 'CREATE TABLE more (id int);');
    await sources.append('ops/_at.sql', 'CREATE VIEW ops.also_new AS SELECT 1 AS one;');
    await makeFail(sources);
    const before = await objectsOf(client);

    await t.throwsAsync(migrate({ sources }));

    t.deepEqual(await objectsOf(client), before);
    const pool = await openPool(config, log);
    t.teardown(() => pool.end());
    t.is(await schemaState(pool), 'ok');
  });
}

test('a migration that has failed can be corrected', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await failures.migration(sources);
  await t.throwsAsync(migrate({ sources }), { message: /division by zero/ });

  await sources.write('migrations/9001_bad.sql', 'CREATE TABLE good (id int);');
  await migrate({ sources });

  t.true((await column(client, TABLES)).includes('good'));
});

test('the service requires the newest migration in sql/migrations', async (t) => {
  const { deps } = await ownService(t);

  t.true((await filesIn('migrations')).includes(`${await newestMigration()}.sql`));
  t.is(await schemaState(deps.pool), 'ok');
});
