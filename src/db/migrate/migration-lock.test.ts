import { test } from '../../../test/support/context.ts';
import {
  column,
  connect,
  editableSources,
  emptyToMigrate,
  migratedDatabase,
} from '../../../test/support/migrating.ts';
import { ReadableError } from '../../process.ts';
import { serviceUrl } from '../roles.ts';
import { until } from '../../../test/support/until.ts';

test('three runs of migrate on an empty database at the same time all succeed', async (t) => {
  const { client, migrate } = await emptyToMigrate(t);

  const results = await Promise.allSettled([migrate(), migrate(), migrate()]);

  t.deepEqual(
    results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : [])),
    [],
  );
  const twice = await column(
    client,
    'SELECT name FROM migrations GROUP BY name HAVING count(*) > 1',
  );
  t.deepEqual(twice, []);
});

test('a service that holds advisory locks does not block migrate', async (t) => {
  const { client, config, migrate } = await migratedDatabase(t);
  const service = await connect(t, serviceUrl(config.DATABASE_URL, 'oms_api'));
  // The keys of the advisory locks of pg-boss, two keys that migrate could choose, and the keys 0 and 1.
  await service.query(`
    SELECT pg_advisory_lock(key) FROM (
      SELECT ('x' || encode(sha224((current_database() || '.pgboss.pgboss' || suffix)::bytea), 'hex'))::bit(64)::bigint
      FROM unnest(ARRAY['', 'create-queue', 'delete-queue']) AS suffix
      UNION ALL SELECT unnest(ARRAY[6217340915, 7241865325823964, 0, 1])
    ) AS keys (key)
  `);
  await client.query(`DELETE FROM pgboss.schedule WHERE name = 'prune'`);
  await client.query(`DELETE FROM pgboss.queue WHERE name = 'prune'`);

  await t.notThrowsAsync(migrate({ timeoutMs: 0 }));
});

for (const table of ['migrations', 'definitions']) {
  test(`no service can take a lock on the table ${table}`, async (t) => {
    const { config } = await migratedDatabase(t);
    for (const role of ['oms_api', 'oms_worker'] as const) {
      const service = await connect(t, serviceUrl(config.DATABASE_URL, role));
      await t.throwsAsync(
        service.query(`BEGIN; LOCK TABLE ${table} IN ROW SHARE MODE`),
        { message: /permission denied/ },
        role,
      );
    }
  });
}

test('migrate logs which lock it waits for and who holds it, and continues when the lock is free', async (t) => {
  const { client, config, logged, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.write('migrations/9000_more.sql', 'ALTER TABLE users ADD COLUMN more int;');
  const holder = await connect(t, serviceUrl(config.DATABASE_URL, 'oms_owner'));
  await holder.query(`SET application_name = 'a long report'; BEGIN; SELECT id FROM users LIMIT 1`);

  const migrating = migrate({ sources });
  await until('a line about the lock', () => logged.length > 0);
  await holder.query('COMMIT');
  await migrating;

  const waits = 'migrate waits for AccessExclusiveLock on public\\.users';
  const heldBy =
    'role \\w+, application a long report, idle in transaction, transaction open for \\d+ s';
  const query = '.*SELECT id FROM users LIMIT 1';
  t.regex(
    logged[0] ?? '',
    new RegExp(`^${waits}, held by pid \\d+ \\(${heldBy}\\): ${query}; trying again$`),
  );
  t.false(logged.join().includes('\n'));
  const columns = `SELECT attname::text FROM pg_attribute WHERE attrelid = 'users'::regclass`;
  t.true((await column(client, columns)).includes('more'));
});

test('migrate gives up after its timeout, names who holds the lock, and changes nothing', async (t) => {
  const { client, config, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.write('migrations/9000_more.sql', 'CREATE TABLE more (id int);');
  await sources.write('migrations/9001_more.sql', 'ALTER TABLE users ADD COLUMN more int;');
  const holder = await connect(t, config.DATABASE_URL);
  await holder.query(`BEGIN; LOCK TABLE users; SELECT 'ALTER ROLE x PASSWORD ''secret'''`);

  const error = await t.throwsAsync(migrate({ sources, timeoutMs: 1000 }), {
    instanceOf: ReadableError,
  });

  t.regex(
    error.message,
    /gave up after 1 s, and changed nothing\. It was waiting for AccessExclusiveLock on public\.users, held by pid \d/,
  );
  t.notRegex(error.message, /secret/);
  t.deepEqual(await column(client, `SELECT to_regclass('more')::text`), [null as never]);
});

test('migrate calls no function of others in schema public with the rights of a superuser', async (t) => {
  const { client, migrate } = await migratedDatabase(t);
  // For calls in roles.sql, database.sql and migrate, these match better than the functions of pg_catalog.
  await client.query(`
    CREATE TABLE public.called (as_whom text);
    GRANT INSERT ON public.called TO PUBLIC;
    CREATE FUNCTION public.pg_has_role(text, text, text) RETURNS boolean LANGUAGE sql AS
      'INSERT INTO public.called VALUES (current_user); SELECT true';
    CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS
      'INSERT INTO public.called VALUES (current_user); SELECT pg_catalog.format($1, $2)';
    CREATE FUNCTION public.has_database_privilege(text, name, text) RETURNS boolean LANGUAGE sql AS
      'INSERT INTO public.called VALUES (current_user); SELECT true';
  `);

  await migrate();

  t.deepEqual(
    await column(client, `SELECT as_whom FROM public.called WHERE as_whom !~ '^oms_'`),
    [],
  );
});

test('in a deadlock with a request, migrate rolls back and tries again', async (t) => {
  const { config, logged, migrate } = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.write(
    'migrations/9000_more.sql',
    'ALTER TABLE users ADD COLUMN more int; ALTER TABLE orders ADD COLUMN more int;',
  );
  const request = await connect(t, config.DATABASE_URL);
  await request.query('BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE');

  const migrating = migrate({ sources });
  const watcher = await connect(t, config.DATABASE_URL);
  await until('migrate to wait', async () => {
    const waiting = `SELECT 1 FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted`;
    return (await column(watcher, waiting)).length > 0;
  });
  await t.notThrowsAsync(request.query('LOCK TABLE users IN ROW EXCLUSIVE MODE'));
  await request.query('COMMIT');

  await t.notThrowsAsync(migrating);
  t.true(logged.length > 0);
});
