import test from 'ava';
import { readSource } from './source.ts';

const words = (text: string) => text.split(/\s+/).filter(Boolean);

test('a script is sorted into code, strings and comments, line by line', (t) => {
  const source = readSource('a.ts', "const a = 'x y'; // says why\n/* more */ call();\n");

  t.deepEqual(words(source.code), ['const', 'a', '=', ';', 'call();']);
  t.deepEqual(words(source.strings), ["'x", "y'"]);
  t.deepEqual(words(source.comments), ['//', 'says', 'why', '/*', 'more', '*/']);
  t.is(source.code.split('\n')[1]?.indexOf('call'), 11);
});

test('code in a template counts as code, also in a nested template', (t) => {
  const source = readSource('a.ts', 'f(`one ${g({ a: `two ${three} four` })} five`, six);\n');

  t.deepEqual(words(source.strings), ['one', 'two', 'four', 'five']);
  t.regex(source.code, /f\(`\s+\$\{g\(\{ a: `\s+\$\{three\}\s+` \}\)\}\s+`, six\);/);
});

test('a division is not read as a regular expression', (t) => {
  const divided = readSource('a.ts', 'const a = b / c; const d = e / f; // g\n');
  const matched = readSource('a.ts', "if (/['/*]/.test(a)) b = 'c'; // d\n");

  t.deepEqual(words(divided.strings), []);
  t.deepEqual(words(matched.strings), ["/['/*]/", "'c'"]);
  t.deepEqual(words(matched.comments), ['//', 'd']);
});

test('the body of a SQL function is code; its strings and comments are not', (t) => {
  const source = readSource('a.sql', "-- Says why.\nSELECT 'it''s', $$ x $$; -- more\n");

  t.deepEqual(words(source.code), ['SELECT', ',', '$$', 'x', '$$;']);
  t.deepEqual(words(source.strings), ["'it''s'"]);
  t.deepEqual(words(source.comments), ['--', 'Says', 'why.', '--', 'more']);
});

test('all text of a document counts as comment', (t) => {
  t.is(readSource('a.md', 'Some words.').comments, 'Some words.');
});
