import test from 'ava';
import { broken } from './broken.ts';

const lines = (count: number) => 'call();\n'.repeat(count);
const comment = (columns: number) => `// ${'a'.repeat(columns - 3)}\n`;

test('a file has 250 lines at most, tests and SQL included', (t) => {
  for (const path of ['src/a.ts', 'src/a.test.ts', 'sql/ops/a.sql', 'scripts/a.mjs']) {
    const head = path.endsWith('.sql') ? '-- Does this.\n' : 'first();\n';

    t.deepEqual(broken(path, head + lines(249)), []);
    t.deepEqual(broken(path, head + lines(250)), ['file-length:251']);
  }
});

test('a line has 120 columns at most, comments included', (t) => {
  t.deepEqual(broken('src/a.ts', lines(1) + comment(120)), []);
  t.deepEqual(broken('src/a.ts', lines(1) + comment(121)), ['columns:2']);
});

test('a line of a document has 120 columns at most, except in tables and URLs', (t) => {
  const url = `https://example.com/${'a'.repeat(200)}`;

  t.deepEqual(broken('docs/a.md', `${'a'.repeat(121)}\n`), ['columns:1']);
  t.deepEqual(broken('docs/a.md', `| ${'a'.repeat(200)} |\n`), []);
  t.deepEqual(broken('docs/a.md', `A document ([source](${url})) has it.\n`), []);
});
