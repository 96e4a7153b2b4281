import { ReadableError } from '../../process.ts';
import { test } from '../../../test/support/context.ts';
import { column, objectsOf } from '../../../test/support/migrating.ts';
import {
  CHANGED_VIEW,
  columnsOf,
  foreignRole,
  SAMPLE_VIEW,
  withSampleViews,
} from '../../../test/support/sample-views.ts';

test('a foreign view on a view of the service, and rights of a foreign role, survive a replacement', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  const role = await foreignRole(t);
  await client.query(`
    CREATE VIEW public.bi_queues AS SELECT one FROM ops.sample;
    GRANT SELECT ON ops.sample TO ${role};
  `);
  await sources.define('ops/sample.sql', SAMPLE_VIEW.replace('2 AS two', '3 AS two, 4 AS four'));

  await migrate({ sources });

  t.deepEqual((await client.query('TABLE ops.sample')).rows, [{ one: 1, two: 3, four: 4 }]);
  t.deepEqual((await client.query('TABLE public.bi_queues')).rows, [{ one: 1 }]);
  const granted = await column(
    client,
    `SELECT has_table_privilege('${role}', 'ops.sample', 'SELECT')::text`,
  );
  t.deepEqual(granted, ['true']);
});

test('a view whose columns change is made again, together with the views that depend on it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await sources.define('ops/sample.sql', CHANGED_VIEW);

  await migrate({ sources });

  t.deepEqual(await columnsOf(client, 'ops.sample'), ['one']);
  t.deepEqual((await client.query('TABLE ops.on_top')).rows, [{ one: 1 }]);
});

test('a view whose columns change is refused while a foreign view depends on it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT one FROM ops.sample');
  await sources.define('ops/sample.sql', CHANGED_VIEW);
  const before = await objectsOf(client);

  const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

  t.regex(
    error.message,
    /^view public\.bi_queues depends on ops\.sample, whose columns change: drop it first/,
  );
  t.deepEqual(await objectsOf(client), before);
});

test('a view whose columns change is refused while a foreign view depends on it indirectly', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query('CREATE VIEW public.bi_queues AS SELECT one FROM ops.on_top');
  await sources.define('ops/sample.sql', CHANGED_VIEW);

  await t.throwsAsync(migrate({ sources }), {
    message: /^view public\.bi_queues depends on ops\.sample/,
  });
});

for (const rights of ['SELECT', 'SELECT (one)']) {
  test(`a view whose columns change is refused while a foreign role has ${rights} on a dependent view`, async (t) => {
    const { client, migrate, sources } = await withSampleViews(t);
    const role = await foreignRole(t);
    await client.query(`GRANT ${rights} ON ops.on_top TO ${role}`);
    await sources.define('ops/sample.sql', CHANGED_VIEW);

    const error = await t.throwsAsync(migrate({ sources }), { instanceOf: ReadableError });

    t.regex(error.message, new RegExp(`^role ${role} has rights on ops\\.on_top`));
    t.deepEqual(await columnsOf(client, 'ops.sample'), ['one', 'two']);
  });
}

test('a view that a person made as oms_owner is not dropped with the view that it depends on', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
  await client.query(`
    SET ROLE oms_owner; CREATE VIEW public.my_report AS SELECT one FROM ops.sample; RESET ROLE`);
  await sources.define('ops/sample.sql', CHANGED_VIEW);

  await t.throwsAsync(migrate({ sources }), {
    message: /^view public\.my_report depends on ops\.sample, whose columns change/,
  });
});

test('a function whose result changes is made again, together with the views that call it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
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

test('a function whose parameters change is made again, together with the views that call it', async (t) => {
  const { client, migrate, sources } = await withSampleViews(t);
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
