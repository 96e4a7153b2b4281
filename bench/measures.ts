import { service } from './contestants.ts';
import type { FigureName, Results } from './results.ts';

/** The figure that a goal is about, and the same of each round. The figure is NaN when the run did not measure it. */
type Reached = { figure: number; rounds: number[] };

/** Reads one figure from the results of a run. */
export type Measure = (results: Results) => Reached;

/** One figure divided by another. A round is divided by the same round of the other. */
export function ratio(one: FigureName, other: FigureName): Measure {
  return (results) => {
    const others = results.samples(...other);
    const rounds = results
      .samples(...one)
      .map((sample, round) => sample / (others[round] ?? Number.NaN))
      .filter(Number.isFinite); // a scenario that failed may have measured one side of a round only
    return { figure: results.median(...one) / results.median(...other), rounds };
  };
}

/** The throughput of `of` divided by the throughput of `over` in the same scenario. */
export function throughput(scenario: string, over: string, of = service.name): Measure {
  return ratio([scenario, of, 'throughput'], [scenario, over, 'throughput']);
}

/** A figure of one contestant: of this service by default. */
export function own(scenario: string, measure: string, of = service.name): Measure {
  return (results) => ({
    figure: results.median(scenario, of, measure),
    rounds: results.samples(scenario, of, measure),
  });
}

/** The largest figure of all rounds, for a bound that holds in every round. */
export function worst(scenario: string, measure: string): Measure {
  return (results) => {
    const rounds = results.samples(scenario, service.name, measure);
    return { figure: rounds.length > 0 ? Math.max(...rounds) : Number.NaN, rounds };
  };
}

/** The smaller of two figures. */
export function smaller(one: Measure, other: Measure): Measure {
  return (results) => {
    const [a, b] = [one(results), other(results)];
    return a.figure < b.figure ? a : b;
  };
}
