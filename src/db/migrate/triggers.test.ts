import type { ExecutionContext } from 'ava';
import { test, type Context } from '../../../test/support/context.ts';
import {
  column,
  connect,
  editableSources,
  migratedDatabase,
} from '../../../test/support/migrating.ts';

const FUNCTION = `
  CREATE OR REPLACE FUNCTION sample() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
`;
const CONSTRAINT = `
  CREATE CONSTRAINT TRIGGER users_91_sample AFTER INSERT ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sample();
`;
const PLAIN = `
  CREATE OR REPLACE TRIGGER users_90_sample AFTER INSERT ON users
    FOR EACH STATEMENT EXECUTE FUNCTION sample();
  COMMENT ON TRIGGER users_90_sample ON users IS 'Does nothing; yet.';
`;
const TRIGGERS = `
  SELECT concat_ws(' ', tgname, oid, xmin, tgenabled, pg_get_triggerdef(oid), obj_description(oid))
  FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1
`;

/** The triggers without the values that change when a trigger is made again. */
const definitions = (all: string[]) => all.map((text) => text.replace(/ \d+ \d+ /, ' '));

/** A migrated database with two more triggers, and a copy of sql/ that contains them. */
async function withSamples(t: ExecutionContext<Context>) {
  const migrating = await migratedDatabase(t);
  const sources = await editableSources(t);
  const define = (text: string) => sources.define('functions/sample.sql', FUNCTION + text);
  await define(PLAIN + CONSTRAINT);
  await migrating.migrate({ sources });
  const triggers = () => column(migrating.client, TRIGGERS);
  return { ...migrating, sources, define, triggers };
}

test('triggers are made with their comments, and the next migrate does not touch them', async (t) => {
  const { migrate, sources, triggers } = await withSamples(t);
  const before = await triggers();

  await migrate({ sources });

  t.true(before.some((trigger) => /users_90.*Does nothing; yet\.$/s.test(trigger)));
  t.deepEqual(await triggers(), before);
});

test('a trigger and a constraint trigger are replaced when their statements change', async (t) => {
  const { migrate, sources, define, triggers } = await withSamples(t);
  await define(PLAIN.replace('INSERT', 'UPDATE') + CONSTRAINT.replace('INSERT', 'DELETE'));

  await migrate({ sources });

  const now = (await triggers()).join('\n');
  t.regex(now, /users_90_sample AFTER UPDATE/);
  t.regex(now, /users_91_sample AFTER DELETE/);
});

test('a trigger that was dropped, disabled or changed by hand is restored', async (t) => {
  const { client, migrate, sources, triggers } = await withSamples(t);
  const before = definitions(await triggers());
  await client.query(`
    DROP TRIGGER users_91_sample ON users;
    ALTER TABLE orders DISABLE TRIGGER USER;
    CREATE OR REPLACE TRIGGER users_90_sample BEFORE DELETE ON users
      FOR EACH STATEMENT EXECUTE FUNCTION sample();
  `);

  await migrate({ sources });

  t.deepEqual(definitions(await triggers()), before);
});

test('a trigger that is no longer in a file is dropped, together with its function', async (t) => {
  const { client, migrate, sources, triggers } = await withSamples(t);
  await sources.remove('functions/sample.sql');

  await migrate({ sources });

  t.notRegex((await triggers()).join(), /sample/);
  t.deepEqual(await column(client, `SELECT 1 FROM pg_proc WHERE proname = 'sample'`), []);
});

test('a trigger that migrate did not make stays', async (t) => {
  const { client, migrate, sources } = await withSamples(t);
  await client.query(`
    CREATE TRIGGER theirs AFTER INSERT ON orders
      FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()
  `);

  await migrate({ sources });

  t.deepEqual(await column(client, `SELECT tgname::text FROM pg_trigger WHERE tgname = 'theirs'`), [
    'theirs',
  ]);
});

test('migrate does not wait for writers when it changes no table', async (t) => {
  const { client, config, migrate } = await migratedDatabase(t);
  const tables = await column(
    client,
    `SELECT oid::regclass::text FROM pg_class
     WHERE relkind IN ('r', 'p') AND relnamespace IN ('public'::regnamespace, 'pgboss'::regnamespace)`,
  );
  const writer = await connect(t, config.DATABASE_URL);
  await writer.query(`BEGIN; LOCK TABLE ${tables.join()} IN ROW EXCLUSIVE MODE`);

  await t.notThrowsAsync(migrate({ timeoutMs: 0 }));

  await writer.query('COMMIT');
});
