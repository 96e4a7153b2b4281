import { isTest, lineAt, matchingLines, type Place, type Rule, type Source } from './rule.ts';

const ASSERTIONS = [
  'assert|deepEqual|notDeepEqual|is|not|like|regex|notRegex|snapshot|true|truthy|false|falsy|unorderedSet',
  'throws|throwsAsync|notThrows|notThrowsAsync',
].join('|');
const ASSERTS = new RegExp(String.raw`\bt\.(${ASSERTIONS})\(`);
const TEST = /(?<![.\w])test(\.serial)?(<[^>]*>)?\(/g;
const LEFT_OUT = /(?<![.\w])(test|it|describe)(\.\w+)*\.(skip|only|todo|failing|fixme)\b/;
const SLEEP = /timers\/promises|\bsleep\(|setTimeout\(\s*(resolve|done|r)\b/;

/** Each test runs, can fail, and waits for events instead of for some time. */
export const tests: Rule[] = [
  { name: 'assertion', reads: isTest, find: testsThatCannotFail },
  {
    name: 't-pass',
    reads: isTest,
    find: ({ code }) => matchingLines(code, /\bt\.pass\(/, 'assert something that can be false'),
  },
  {
    name: 'left-out-test',
    reads: isTest,
    find: ({ code }) =>
      matchingLines(code, LEFT_OUT, 'run this test with the others, or remove it'),
  },
  {
    name: 'sleep',
    reads: isTest,
    find: ({ code, strings }) =>
      [code, strings].flatMap((text) =>
        matchingLines(text, SLEEP, 'wait for an event, not for time to pass'),
      ),
  },
];

function testsThatCannotFail({ code }: Source): Place[] {
  return [...code.matchAll(TEST)].flatMap(({ index, 0: opening }) => {
    const body = code.slice(index, endOfCall(code, index + opening.length));
    const advice = 'this test asserts nothing, so it cannot fail';
    return ASSERTS.test(body) ? [] : [{ line: lineAt(code, index), advice }];
  });
}

/** The position after the closing bracket of a call. `from` is the position after its opening bracket. */
function endOfCall(code: string, from: number): number {
  let open = 1;
  let at = from;
  for (; at < code.length && open > 0; at += 1) {
    if (code[at] === '(') open += 1;
    if (code[at] === ')') open -= 1;
  }
  return at;
}
