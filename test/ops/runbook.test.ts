import { readFile } from 'node:fs/promises';
import { test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';

test('runbook and README name only objects that schema ops has, and the runbook names all of them', async (t) => {
  const dba = await connectDba(t);
  const [runbook = '', readme = ''] = await Promise.all(
    ['docs/operations.md', 'README.md'].map((path) =>
      readFile(new URL(`../../${path}`, import.meta.url), 'utf8'),
    ),
  );
  const existing = await dba.rows(`
    SELECT relname AS name, 'view' AS kind FROM pg_class WHERE relnamespace = 'ops'::regnamespace
    UNION ALL
    SELECT proname, 'function' FROM pg_proc WHERE pronamespace = 'ops'::regnamespace
  `);
  const names = new Set(existing.map(({ name }) => name));

  const mentioned = [...`${runbook}${readme}`.matchAll(/\bops\.([a-z_]+)/g)].map(
    ([, name]) => name,
  );

  t.true(mentioned.length > 20);
  t.deepEqual(
    mentioned.filter((name) => !names.has(name)),
    [],
  );
  for (const { name } of existing) {
    if (!name.startsWith('_')) t.true(runbook.includes(`ops.${name}`), name);
  }
});
