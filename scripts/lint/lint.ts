import { doors } from './doors.ts';
import type { Exception } from './exceptions.ts';
import { hygiene } from './hygiene.ts';
import type { Finding, Rule, Source, TreeRule } from './rule.ts';
import { sizes } from './sizes.ts';
import { sql } from './sql.ts';
import { tests } from './tests.ts';
import { unusedExports } from './unused-exports.ts';
import { words } from './words.ts';

const RULES: Rule[] = [...sizes, ...doors, ...sql, ...tests, ...hygiene, words];
const TREE_RULES: TreeRule[] = [unusedExports];

/** Finds the places that break a rule, without the exceptions. An exception that is not used is a finding too. */
export function lint(sources: Source[], exceptions: Exception[]): Finding[] {
  const found = [
    ...RULES.flatMap(({ name: rule, reads, find }) =>
      sources
        .filter(({ path }) => reads(path))
        .flatMap((source) =>
          find(source).map(({ line, advice }) => ({ rule, path: source.path, line, advice })),
        ),
    ),
    ...TREE_RULES.flatMap(({ name: rule, find }) =>
      find(sources).map(({ path, line, advice }) => ({ rule, path, line, advice })),
    ),
  ];
  const unused = exceptions.filter((exception) => !found.some((one) => isCovered(one, exception)));
  return [
    ...found.filter((one) => !exceptions.some((exception) => isCovered(one, exception))),
    ...unused.map(({ rule, path }) => ({
      rule: 'exception',
      path: 'scripts/lint/exceptions.ts',
      line: 1,
      advice: `remove the exception: nothing in ${path} breaks the rule ${rule}`,
    })),
  ];
}

function isCovered({ rule, path }: Finding, exception: Exception): boolean {
  const isInside = exception.path.endsWith('/') && path.startsWith(exception.path);
  return rule === exception.rule && (path === exception.path || isInside);
}
