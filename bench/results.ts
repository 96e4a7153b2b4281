/** One figure of one contestant in one scenario, with one sample for each round. */
export type Figure = {
  scenario: string;
  contestant: string;
  /** 'throughput', 'p50', 'p99', 'drain' … */
  measure: string;
  /** '/s', 'ms', 'MB' … */
  unit: string;
  samples: number[];
};

/** The name of a figure. */
export type FigureName = [scenario: string, contestant: string, measure: string];

/** All figures of a run, in the order of their first samples. */
export class Results {
  readonly figures: Figure[];

  constructor(figures: Figure[] = []) {
    this.figures = figures;
  }

  /** Adds a sample to a figure, in most cases one for each round. */
  add(scenario: string, contestant: string, measure: string, unit: string, value: number): void {
    const found = this.find(scenario, contestant, measure);
    if (found) found.samples.push(value);
    else this.figures.push({ scenario, contestant, measure, unit, samples: [value] });
  }

  find(...[scenario, contestant, measure]: FigureName): Figure | undefined {
    return this.figures.find(
      (figure) =>
        figure.scenario === scenario &&
        figure.contestant === contestant &&
        figure.measure === measure,
    );
  }

  /** The samples of a figure. None when it was not measured. */
  samples(...name: FigureName): number[] {
    return this.find(...name)?.samples ?? [];
  }

  /** The median of the samples. NaN when the figure was not measured. */
  median(...name: FigureName): number {
    return median(this.samples(...name));
  }

  toJSON(): Figure[] {
    return this.figures;
  }
}

/** The sample below which this share of the samples lies. NaN without samples. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** The sample in the middle; for an even number, the mean of the two in the middle. NaN without samples. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const lower = sorted[Math.floor(middle)] ?? Number.NaN;
  const upper = sorted[Math.ceil(middle)] ?? Number.NaN;
  return (lower + upper) / 2;
}
