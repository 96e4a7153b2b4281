import { isTypeScript, lineAt, matchingLines, type Place, type Rule } from './rule.ts';

const EMPTY_CATCH = /\bcatch\s*(\(\w*\)\s*)?\{\s*\}|\.catch\(\s*\(\w*\)\s*=>\s*\{\s*\}\s*\)/g;
const ON_A_MACHINE = /(^|[\s'"`(=])(\/work|\/home\/\w+|\/Users\/\w+)\//;
const CLIMB = /(?<![\w.])(?:\.\.\/)+/g;

export const hygiene: Rule[] = [
  {
    name: 'unfinished',
    reads: () => true,
    find: ({ text }) =>
      matchingLines(text, /\b(TODO|FIXME|XXX|HACK)\b/, 'finish it, or open an issue'),
  },
  {
    name: 'empty-catch',
    reads: isTypeScript,
    find: ({ text, code }) =>
      [...text.matchAll(EMPTY_CATCH)].flatMap(({ index }) => {
        const advice = 'handle the error, or add a comment that says why it can be ignored';
        return code[index] === ' ' ? [] : [{ line: lineAt(text, index), advice }];
      }),
  },
  {
    name: 'vague-name',
    reads: () => true,
    find: ({ path }) =>
      /(^|\/)(utils?|helpers?|common|misc|lib|shared)(\/|\.ts$)/.test(path)
        ? [{ line: 1, advice: 'use a name that describes the content' }]
        : [],
  },
  {
    name: 'outside',
    reads: () => true,
    find: ({ path, text }) => [
      ...matchingLines(
        text,
        ON_A_MACHINE,
        'remove this path: the folder exists on one machine only',
      ),
      ...climbsOut(path, text),
    ],
  },
];

/** Paths that lead above the top of the repository. */
function climbsOut(path: string, text: string): Place[] {
  const depth = path.split('/').length - 1;
  return [...text.matchAll(CLIMB)].flatMap(({ index, 0: climb }) =>
    climb.length / '../'.length > depth
      ? [{ line: lineAt(text, index), advice: 'remove this path: it is outside the repository' }]
      : [],
  );
}
