import test from 'ava';
import { lint } from './lint.ts';
import { readSource } from './source.ts';

const unused = (files: Record<string, string>) =>
  lint(
    Object.entries(files).map(([path, text]) => readSource(path, text)),
    [],
  ).map(({ path, line, advice }) => `${path}:${line} ${advice}`);

test('a name is exported when another file uses it', (t) => {
  const found = unused({
    'src/a.ts': 'export const one = 1;\nexport async function two() {}\nexport type Three = 3;\n',
    'src/b.ts': "import { one, type Three } from './a.ts';\nuse<Three>(one); // not two\n",
  });

  t.deepEqual(found, ['src/a.ts:2 no other file uses two: do not export it']);
});
