import test from 'ava';
import { lint } from './lint.ts';
import { readSource } from './source.ts';

const unused = (files: Record<string, string>) =>
  lint(
    Object.entries(files).map(([path, text]) => readSource(path, text)),
    [],
  ).map(({ path, line, advice }) => `${path}:${line} ${advice}`);

test('an exported name that no other file imports is refused', (t) => {
  const found = unused({
    'src/a.ts': 'export const one = 1;\nexport async function two() {}\nexport type Three = 3;\n',
    'src/b/c.ts':
      "import {\n  one as uno,\n  type Three,\n} from '../a.ts';\nuse<Three>(uno); // not two\n",
  });

  t.deepEqual(found, ['src/a.ts:2 no other file imports two: do not export it']);
});

test('an equal name in another file does not count as an import', (t) => {
  const found = unused({
    'src/a.ts': 'export type Result = string;\n',
    'src/b.ts': "import type { Result } from './c.ts';\nuse<Result>();\n",
    'src/c.ts': 'export type Result = number;\n',
  });

  t.deepEqual(found, ['src/a.ts:1 no other file imports Result: do not export it']);
});
