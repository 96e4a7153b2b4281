import type { Machine } from './machine.ts';
import type { Results } from './results.ts';

/** What a scenario gets. */
export type Context = {
  machine: Machine;
  results: Results;
  /** Small sizes, short measurements, and no long warm-up: to check that everything works. */
  quick: boolean;
  /** The number of measured rounds. A warm-up round is extra. */
  rounds: number;
  /** Shows progress. */
  say: (line: string) => void;
};

/** One measurement of all its contestants, round by round. `--only` selects a scenario by its name, in kebab-case. */
export type Scenario = { name: string; run: (context: Context) => Promise<void> };

/** The turns of a round. Round 1 starts with the first turn, round 2 with the second, and so on. */
export function inTurn<Turn>(turns: readonly Turn[], round: number): Turn[] {
  const first = Math.max(0, round - 1) % turns.length;
  return [...turns.slice(first), ...turns.slice(0, first)];
}
