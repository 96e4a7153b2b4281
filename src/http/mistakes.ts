import { z } from 'zod';

/** Where a mistake is, as a member of the reply. A pointer is a JSON Pointer as a URI fragment (RFC 6901, 6). */
type Place = { pointer: string } | { parameter: string } | { header: string };

/** Names the place of a mistake by the path of zod. */
export type PlaceOf = (path: PropertyKey[]) => Place;

/** One entry of `errors` in problem details: what is wrong, and where. */
export const Mistake = z
  .object({
    detail: z.string().meta({ example: 'must be greater than 0' }),
    pointer: z.string().optional().meta({
      description: 'The place in the body: a JSON Pointer as a URI fragment',
      example: '#/amount',
    }),
    parameter: z
      .string()
      .optional()
      .meta({ description: 'The parameter of the path or the query' }),
    header: z.string().optional().meta({ description: 'The header field' }),
  })
  .meta({ id: 'Mistake' });
export type Mistake = z.infer<typeof Mistake>;

/** How many mistakes are listed. A body of 100 kB can have 30,000. */
const MISTAKES_MAX = 20;
const NAME_LENGTH_MAX = 100;

/** Lists what is wrong in the input of a client. `placeOf` names the place of each mistake. */
export function mistakesIn(issues: z.core.$ZodIssue[], placeOf: PlaceOf): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const issue of issues) {
    for (const [path, detail] of pathsOf(issue)) {
      if (mistakes.length === MISTAKES_MAX) return mistakes;
      mistakes.push({ detail, ...placeOf(path) });
    }
  }
  return mistakes;
}

/** zod reports an unknown field at its object. The path leads to the field itself. */
function pathsOf(issue: z.core.$ZodIssue): [path: PropertyKey[], detail: string][] {
  if (issue.code !== 'unrecognized_keys') return [[issue.path, issue.message]];
  return issue.keys.map((key) => [[...issue.path, key], 'is not a known field']);
}

/** A place in the body. Names are shortened, because a client can send one of 100 kB. */
export function inBody(path: PropertyKey[]): Place {
  const names = path.map((key) => shorten(key).replaceAll('~', '~0').replaceAll('/', '~1'));
  return { pointer: `#${names.map((name) => `/${encodeURIComponent(name)}`).join('')}` };
}

/** A parameter of the path or the query. */
export function inParameter([name = '']: PropertyKey[]): Place {
  return { parameter: shorten(name) };
}

/** Shortens a name, and replaces half a surrogate pair, because encodeURIComponent throws on it. */
function shorten(name: PropertyKey): string {
  return String(name).slice(0, NAME_LENGTH_MAX).toWellFormed();
}
