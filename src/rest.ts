/** After a slow query, rest nine times its duration, so that it uses at most 10 % of the time. */
const REST_FACTOR = 9;

/** How long to rest after a query that took this long. */
export function restAfter(tookMs: number): number {
  return tookMs * REST_FACTOR;
}
