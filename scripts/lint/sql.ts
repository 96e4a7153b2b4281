import {
  isMigration,
  isProduct,
  isSql,
  lineAt,
  matchingLines,
  type Place,
  type Rule,
  type Source,
} from './rule.ts';

const STAR = /\b(SELECT|RETURNING)\s+(DISTINCT\s+)?\*/i;
const CONSTRAINT = /\b(PRIMARY\s+KEY|FOREIGN\s+KEY|UNIQUE|CHECK|REFERENCES|EXCLUDE)\b/gi;
/** The name before a constraint: `<table>_<rule>_<kind>`. Only the kind is checked. */
const NAMED = /\bCONSTRAINT\s+[a-z0-9_]+_(pk|fk|uq|ck|ex)\s+$/;

export const sql: Rule[] = [
  {
    name: 'select-star',
    reads: (path) => isSql(path) || isProduct(path),
    find: ({ path, code, strings }) =>
      matchingLines(isSql(path) ? code : strings, STAR, 'list the columns'),
  },
  {
    name: 'sql-head',
    reads: isSql,
    find: ({ text }) =>
      text.startsWith('--')
        ? []
        : [{ line: 1, advice: 'begin with a comment: the purpose of the file, and why' }],
  },
  {
    name: 'migration-locks',
    reads: isMigration,
    find: ({ text }) =>
      /^-- Locks: \S/m.test(head(text))
        ? []
        : [
            {
              line: 1,
              advice: 'add a line to the head comment that lists the locks: "-- Locks: …"',
            },
          ],
  },
  {
    name: 'sql-ascii',
    reads: isSql,
    find: ({ text }) =>
      matchingLines(
        text,
        /^(?!--).*[^ -~]/,
        'write ASCII on lines that do not begin with --: a psql with another encoding cannot show other characters',
      ),
  },
  { name: 'constraint-name', reads: isMigration, find: constraintsWithoutName },
];

/** The comment at the beginning of a file. */
function head(text: string): string {
  return /^(--[^\n]*\n)*/.exec(text)?.[0] ?? '';
}

/** The REFERENCES of a foreign key, the UNIQUE of an index and NOT NULL need no name. */
function constraintsWithoutName({ code }: Source): Place[] {
  const statements = code.replaceAll(/CREATE\s+UNIQUE\s+INDEX/gi, (found) =>
    ' '.repeat(found.length),
  );
  return [...statements.matchAll(CONSTRAINT)].flatMap(({ index, 0: word }) => {
    const before = statements.slice(0, index);
    const isPartOfKey = /^REFERENCES$/i.test(word) && /FOREIGN\s+KEY\s*\([^)]*\)\s*$/i.test(before);
    if (isPartOfKey || NAMED.test(before)) return [];
    const advice = 'name the constraint, such as orders_amount_ck: its name is part of the API';
    return [{ line: lineAt(code, index), advice }];
  });
}
