import test from 'ava';
import { splitStatements } from './statements.ts';

const codes = (sql: string) => splitStatements('f.sql', sql).map(({ code }) => code);

test('a file is split at semicolons', (t) => {
  t.deepEqual(codes('SELECT 1; SELECT 2;\nSELECT 3'), ['SELECT 1;', 'SELECT 2;', 'SELECT 3']);
});

const whole = [
  `SELECT 'a;b', 'it''s;', "odd;name";`,
  String.raw`SELECT E'it\';s', 1;`,
  'SELECT $$ a; b $$, $body$ c; $$ d; $body$;',
  'SELECT 1 -- one; not two\n;',
  'SELECT 1 /* one; not two */;',
  'CREATE FUNCTION f() RETURNS int LANGUAGE sql\nBEGIN ATOMIC\n  SELECT 1;\n  SELECT 2;\nEND;',
];

for (const sql of whole) {
  test(`text that is one statement: ${sql.replaceAll('\n', ' ')}`, (t) => {
    t.deepEqual(codes(`${sql}\nSELECT 2;`), [sql, 'SELECT 2;']);
  });
}

test('a comment belongs to the statement below it, and a comment alone is no statement', (t) => {
  const [first, ...others] = splitStatements('f.sql', '-- Why; so.\nSELECT 1;\n\n-- The end.\n');

  t.deepEqual(first, { file: 'f.sql', text: '-- Why; so.\nSELECT 1;', code: 'SELECT 1;' });
  t.deepEqual(others, []);
});
