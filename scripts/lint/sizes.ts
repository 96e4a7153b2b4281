import { isSql, isTypeScript, type Rule } from './rule.ts';

const LINES_MAX = 250;
const COLUMNS_MAX = 120;

const isProgram = (path: string) => isTypeScript(path) || isSql(path) || path.endsWith('.mjs');

/** Sizes of files and lines. oxlint checks the length of functions (max-lines-per-function). */
export const sizes: Rule[] = [
  {
    name: 'file-length',
    reads: isProgram,
    find({ text }) {
      const lines = text.split('\n').length - 1;
      if (lines <= LINES_MAX) return [];
      const advice = `${lines} lines, more than ${LINES_MAX}: split the file by what its parts do`;
      return [{ line: lines, advice }];
    },
  },
  {
    name: 'columns',
    reads: (path) =>
      isProgram(path) || /\.(md|yml|sh)$|^Dockerfile$|^\.env\.example$|\/run$/.test(path),
    find: ({ path, text }) =>
      text.split('\n').flatMap((line, index) => {
        const { length } = path.endsWith('.md') ? wrappable(line) : line;
        const advice = `${length} columns, more than ${COLUMNS_MAX}`;
        return length > COLUMNS_MAX ? [{ line: index + 1, advice }] : [];
      }),
  },
];

/** The part of a line of Markdown that can be wrapped: rows of tables and URLs cannot. */
function wrappable(line: string): string {
  return line.startsWith('|') ? '' : line.replaceAll(/https?:\/\/[^\s)]+/g, '');
}
