import { matchingLines, type Rule } from './rule.ts';

/** Words and phrases that are hard to read, and plain ones to use instead. */
const INSTEAD: [RegExp, string][] = [
  [/\b(whoever|whomever|whosoever)\b/i, 'name the person or the process'],
  [/\bwhatever\b/i, 'any …, each …, "even if …"'],
  [/\b(somebody|nobody)\b/i, 'name who: a user, another process, no process'],
  [/\bso (long|many)\b/i, 'how long, how many, "as long as", the number'],
  [/\b(is|are|was|were|be|being) told of\b/i, 'learns of, receives, "is reported"'],
  [/\bto be had\b/i, 'available'],
  [/\bin vain\b/i, 'without success'],
  [/\blest\b/i, 'otherwise; "so that … not"'],
  [/\b(has|have|had|having|with) (\w+ ){0,3}in hand\b/i, 'works on, holds, claims'],
  [/\brightly\b/i, 'correctly, or nothing'],
  [/\bas ever\b/i, 'as before'],
  [/\bof its own making\b/i, 'that it made'],
  [/\bharms nobody\b/i, 'is safe'],
  [
    /\b(whence|wherein|whereby|hitherto|thereof|albeit|thence|nought|betimes)\b/i,
    'today’s English',
  ],
  [/\b(for want of|but for|or rather)\b/i, 'without, except'],
  [/\blook-?outs?\b/i, 'the watcher'],
  [/\blanes?\b/i, 'a poller; for group commit: in flight'],
  [/\bhints?\b/, 'a wake-up'],
  [
    /\b(database|Postgres|Redis|queue|code|trigger|constraint) (says|knows|wants|thinks|believes|forgets|minds)\b/i,
    'a thing does not speak or think: "the row has", "the constraint refuses"',
  ],
];

const VERBS = 'is|are|was|were|has|have|had|goes|comes|gets|must|may|can|could|does|did';
/** A sentence whose subject is a clause. */
const CLAUSE_FIRST = new RegExp(
  String.raw`(?:^\s*|[.:;]\s+|(?:\/\*\*?|\/\/|--|\*)\s+)(?:(?:What|Who|Whose) (?:${VERBS})\b|That (?:it|they) )`,
);
const QUESTION = /\?/;

/** Comments, messages, titles and documents are in plain English. */
export const words: Rule = {
  name: 'plain-words',
  reads: () => true,
  find({ comments, strings }) {
    const prose = merge(comments, strings);
    const places = INSTEAD.flatMap(([pattern, instead]) =>
      matchingLines(prose, pattern, `plain words instead of ${pattern.source}: ${instead}`),
    );
    const clauses = matchingLines(prose, CLAUSE_FIRST, 'begin with the subject, not with a clause');
    const lines = prose.split('\n');
    return [...places, ...clauses.filter(({ line }) => !QUESTION.test(lines[line - 1] ?? ''))];
  },
};

/** Comments and strings in one text. At each position, at least one of them is blank. */
function merge(one: string, other: string): string {
  if (other === '') return one;
  return one.replaceAll(/ /g, (_, at: number) => other[at] ?? ' ');
}
