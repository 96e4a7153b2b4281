/** A file of the tree. In `code`, `strings` and `comments`, the other parts are blanks, so positions are the same. */
export type Source = {
  path: string;
  text: string;
  /** The text without comments and without the content of strings. For documents and other files: the whole text. */
  code: string;
  /** The content of strings and templates, and regular expressions. For documents and other files: empty. */
  strings: string;
  /** For documents and other files: the whole text. */
  comments: string;
};

/** A line that breaks a rule, and how to fix it. */
export type Place = { line: number; advice: string };

/** A rule on one file at a time. `reads` selects the files. */
export type Rule = {
  name: string;
  reads: (path: string) => boolean;
  find: (source: Source) => Place[];
};

/** A rule on all files together. */
export type TreeRule = {
  name: string;
  find: (sources: Source[]) => (Place & { path: string })[];
};

/** A place, with the rule that found it. */
export type Finding = Place & { rule: string; path: string };

/** Every line of a text that a pattern matches. */
export function matchingLines(text: string, pattern: RegExp, advice: string): Place[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [{ line: index + 1, advice }] : []));
}

/** The number of the line at a position of a text. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

export const isTypeScript = (path: string) => path.endsWith('.ts');
export const isSql = (path: string) => path.endsWith('.sql');
export const isTest = (path: string) => path.endsWith('.test.ts');
export const isMigration = (path: string) => path.startsWith('sql/migrations/');
/** Code that the services run. */
export const isProduct = (path: string) => /^(src|jobs)\//.test(path) && !isTest(path);
