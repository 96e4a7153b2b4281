/** A file of the tree, and the same text with parts of it blanked: positions stay as they are. */
export type Source = {
  path: string;
  text: string;
  /** Without comments, and without what stands in strings. For SQL and other languages: the whole text. */
  code: string;
  /** What stands in strings, templates included. */
  strings: string;
  comments: string;
};

/** A place that breaks a rule, and what to do about it. */
export type Place = { line: number; advice: string };

/** A rule reads one file at a time. */
export type Rule = {
  name: string;
  reads: (path: string) => boolean;
  find: (source: Source) => Place[];
};

/** A rule about how files fit together. */
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

/** The number of the line in which a position of a text lies. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

export const isTypeScript = (path: string) => path.endsWith('.ts');
export const isSql = (path: string) => path.endsWith('.sql');
export const isTest = (path: string) => path.endsWith('.test.ts');
export const isMigration = (path: string) => path.startsWith('sql/migrations/');
/** Code that the services run. */
export const isProduct = (path: string) => /^(src|jobs)\//.test(path) && !isTest(path);
