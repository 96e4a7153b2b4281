/** One statement of an SQL file: `text` has the comment above it, `code` does not. */
export type Statement = { file: string; text: string; code: string };

// Skips comments, quoted text and bodies, so that only a `;` between statements counts.
const TOKENS = new RegExp(
  [
    String.raw`--[^\n]*`,
    String.raw`/\*[\s\S]*?\*/`,
    String.raw`\bE'(?:[^'\\]|''|\\[\s\S])*'`,
    String.raw`'(?:[^']|'')*'`,
    String.raw`"(?:[^"]|"")*"`,
    String.raw`(\$(?:[a-z_]\w*)?\$)[\s\S]*?\1`,
    String.raw`\bBEGIN\s+ATOMIC\b[\s\S]*?^END\b`,
    ';',
  ].join('|'),
  'gim',
);
const DEFINITION = /^CREATE\s+OR\s+REPLACE\s+(?:RECURSIVE\s+)?(VIEW|FUNCTION)\s+([\w.]+)/i;
const LEADING_COMMENTS = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/;

/**
 * Splits an SQL file into its statements. The `END` of a `BEGIN ATOMIC` body must begin its line. The text after the
 * last `;` is a statement too, unless it contains only comments.
 */
export function splitStatements(file: string, sql: string): Statement[] {
  const ends = [...sql.matchAll(TOKENS)].filter(([token]) => token === ';');
  const cuts = [0, ...ends.map(({ index }) => index + 1), sql.length];
  return cuts
    .slice(1)
    .map((end, i) => sql.slice(cuts[i], end).trim())
    .map((text) => ({ file, text, code: text.replace(LEADING_COMMENTS, '') }))
    .filter(({ code }) => code !== '' && code !== ';');
}

/** The name of the view or function that a statement makes, with its schema. Undefined for any other statement. */
export function nameOf(kind: 'VIEW' | 'FUNCTION', { code }: Statement): string | undefined {
  const [, found, name = ''] = DEFINITION.exec(code) ?? [];
  if (found?.toUpperCase() !== kind) return undefined;
  return name.includes('.') ? name : `public.${name}`;
}
