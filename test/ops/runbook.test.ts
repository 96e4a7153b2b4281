import { readFile } from 'node:fs/promises';
import { test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';

test('the documents name only objects that schema ops has, and docs/dba.md names all of them', async (t) => {
  const dba = await connectDba(t);
  const [page = '', ...others] = await Promise.all(
    ['docs/dba.md', 'docs/operations.md', 'docs/audit.md', 'docs/architecture.md', 'README.md'].map(
      (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8'),
    ),
  );
  const existing = await dba.rows(`
    SELECT relname AS name, 'view' AS kind FROM pg_class WHERE relnamespace = 'ops'::regnamespace
    UNION ALL
    SELECT proname, 'function' FROM pg_proc WHERE pronamespace = 'ops'::regnamespace
  `);
  const names = new Set(existing.map(({ name }) => name));

  const mentioned = [...[page, ...others].join().matchAll(/\bops\.([a-z_]+)/g)].map(
    ([, name]) => name,
  );

  t.true(mentioned.length > 20);
  t.deepEqual(
    mentioned.filter((name) => !names.has(name)),
    [],
  );
  for (const { name } of existing) {
    if (!name.startsWith('_')) t.true(page.includes(`ops.${name}`), name);
  }
});
