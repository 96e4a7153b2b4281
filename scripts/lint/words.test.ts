import test from 'ava';
import { broken } from './broken.ts';

test('hard words are refused in comments, messages and documents', (t) => {
  const samples = {
    'src/a.ts': [
      ['// Tells who', 'ever asks.\n'].join(''),
      "throw new Error('nobody is there');\n",
      ['/** In va', 'in. */\n'].join(''),
    ],
    'sql/ops/a.sql': ['-- So long a job waits.\n', "-- Does this.\nRAISE 'so many jobs';\n"],
    'docs/a.md': ['A worker has it in hand.\n', 'As ever, it waits.\n'],
  };

  for (const [path, texts] of Object.entries(samples)) {
    for (const text of texts) {
      const line = text.split('\n').length - 1;
      t.deepEqual(broken(path, text), [`plain-words:${line}`], text);
    }
  }
});

test('a sentence whose subject is a clause is refused', (t) => {
  t.deepEqual(broken('src/a.ts', '// What is done with sooner is not kept.\n'), ['plain-words:1']);
  t.deepEqual(broken('src/a.ts', '/* One. Who has waited longest goes first. */\n'), [
    'plain-words:1',
  ]);
  t.deepEqual(broken('src/a.ts', '// That it waits is on purpose.\n'), ['plain-words:1']);
  t.deepEqual(broken('docs/a.md', '## What is compared?\n'), []);
});

test('names in code may be any word', (t) => {
  t.deepEqual(broken('src/a.ts', 'const nobody = lane(whatever); // no user\n'), []);
});
