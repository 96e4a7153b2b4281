import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { mutations } from './list.ts';
import { checkEdits, ROOT } from './trees.ts';

for (const { name, edits } of mutations) {
  test(`the files have the text that this mutation edits: ${name}`, (t) => {
    t.notThrows(() => checkEdits(edits));
  });
}

test('each mutation names a test that exists', (t) => {
  for (const { name, detector } of mutations) {
    if ('test' in detector) t.true(titlesIn(detector.test).test(detector.title), name);
  }
});

test('each mutation has a name of its own', (t) => {
  t.is(new Set(mutations.map(({ name }) => name)).size, mutations.length);
});

/** Matches the titles of the tests in a file. In a template literal, a placeholder matches any text. */
function titlesIn(file: string): RegExp {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const calls = source.matchAll(/^\s*test(?:\.serial)?\(\s*(['`])(.*?)\1,/gm);
  const titles = Array.from(calls, ([, , title = '']) =>
    title
      .split(/\$\{\w+\}/)
      .map((text) => RegExp.escape(text))
      .join('.+'),
  );
  return new RegExp(`^(?:${titles.join('|')})$`);
}
