import type { Machine } from './machine.ts';
import type { Results } from './results.ts';

/** What a scenario works with. */
export type Context = {
  machine: Machine;
  results: Results;
  /** Small sizes, short cells, no warm-up where that takes long: for a look at whether all works. */
  quick: boolean;
  /** Measured rounds; a warm-up round comes besides. */
  rounds: number;
  /** Shows progress. */
  say: (line: string) => void;
};

/**
 * One question that the bench asks all contestants. It loops rounds outside, and contestants inside. Its
 * name is what --only takes: a word or two, in kebab-case.
 */
export type Scenario = { name: string; run: (context: Context) => Promise<void> };

/** All of them, begun with another one in each round; round 1, and so the tables, with the first. */
export function inTurn<Turn>(turns: readonly Turn[], round: number): Turn[] {
  const first = Math.max(0, round - 1) % turns.length;
  return [...turns.slice(first), ...turns.slice(0, first)];
}
