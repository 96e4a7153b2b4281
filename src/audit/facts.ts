/*
 * The numbers in an evidence file, read window by window: orders by status, jobs by state, events, and a digest of the
 * hash chains.
 */
import { createHash, type Hash } from 'node:crypto';
import { sql, type CommonQueryMethods } from 'slonik';
import { z } from 'zod';
import { within, type Window } from './windows.ts';

const Counts = z.record(z.string(), z.int());

/** The numbers of one window. */
const WindowFacts = z.object({
  statuses: Counts,
  jobs: Counts,
  events: z.int(),
  chain: z.instanceof(Buffer), // of each order's last event: id, version, hash
});
export type WindowFacts = z.infer<typeof WindowFacts>;

/** Adds up the windows. Memory does not grow with the orders: the chains go into one hash. */
export class Tally {
  readonly statuses: Record<string, number> = {};
  readonly jobs: Record<string, number> = {};
  events = 0;
  readonly #chains: Hash = createHash('sha256');

  add({ statuses, jobs, events, chain }: WindowFacts): void {
    addCounts(this.statuses, statuses);
    addCounts(this.jobs, jobs);
    this.events += events;
    this.#chains.update(chain);
  }

  /** sha256 over id (16 bytes), version (4) and hash (32) of each order's last event, in id order. */
  chainDigest(): string {
    return this.#chains.copy().digest('hex');
  }
}

function addCounts(whole: Record<string, number>, part: Record<string, number>): void {
  for (const [name, count] of Object.entries(part)) whole[name] = (whole[name] ?? 0) + count;
}

/** Reads the numbers of a window, in the snapshot in which its invariants are checked. */
export function factsOf(tx: CommonQueryMethods, window: Window): Promise<WindowFacts> {
  return tx.one(sql.type(WindowFacts)`
    SELECT
      (SELECT coalesce(jsonb_object_agg(status, orders), '{}') FROM (
         SELECT o.status, count(*) AS orders FROM orders AS o
         WHERE ${within(window, 'o.id')}
         GROUP BY o.status
       ) AS o) AS statuses,
      (SELECT coalesce(jsonb_object_agg(name || ' ' || state, jobs), '{}') FROM (
         SELECT j.name, j.state, count(*) AS jobs FROM pgboss.job AS j
         WHERE j.name IN ('process-order', 'fail-order') AND ${within(window, 'j.id')}
         GROUP BY j.name, j.state
       ) AS j) AS jobs,
      e.events, e.chain
    FROM (
      SELECT count(*)::float8 AS events, coalesce(string_agg(
        uuid_send(e.order_id) || int4send(e.version) || e.hash, '' ORDER BY e.order_id
      ) FILTER (WHERE e.is_last), '') AS chain
      FROM (
        SELECT e.order_id, e.version, e.hash,
          lead(true) OVER (PARTITION BY e.order_id ORDER BY e.version) IS NULL AS is_last
        FROM order_events AS e
        WHERE ${within(window, 'e.order_id')}
      ) AS e
    ) AS e
  `);
}
