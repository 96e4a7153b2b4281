/** Growth up to both of these together is explained by garbage collection and growing pools. */
const GROWTH_MAX_RATIO = 1.25;
const GROWTH_MAX_MB = 32;

/**
 * Whether memory stays flat: the median of the last quarter of the samples is not much above that of the second
 * quarter. The first quarter does not count, because caches fill and code is compiled.
 */
export function isFlat(samplesMb: number[]): boolean {
  const quarter = Math.floor(samplesMb.length / 4);
  if (quarter === 0) return true;
  const before = median(samplesMb.slice(quarter, 2 * quarter));
  return median(samplesMb.slice(-quarter)) <= before * GROWTH_MAX_RATIO + GROWTH_MAX_MB;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
