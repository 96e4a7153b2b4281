import test from 'ava';
import { lint } from './lint.ts';
import { readSource } from './source.ts';

const sources = ['src/a.ts', 'test/b.ts'].map((path) => readSource(path, 'call(process.env.A);\n'));
const found = (...paths: string[]) =>
  lint(
    sources,
    paths.map((path) => ({ rule: 'process-env', path, reason: 'for this test' })),
  ).map(({ rule, path }) => `${rule} ${path}`);

test('an exception covers one rule in one file, or in one folder', (t) => {
  t.deepEqual(found(), ['process-env src/a.ts', 'process-env test/b.ts']);
  t.deepEqual(found('src/a.ts'), ['process-env test/b.ts']);
  t.deepEqual(found('src/a.ts', 'test/'), []);
});

test('an exception that is not used is a finding', (t) => {
  t.deepEqual(found('src/a.ts', 'test/', 'jobs/'), ['exception scripts/lint/exceptions.ts']);
});
