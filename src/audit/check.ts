import { sql, type CommonQueryMethods } from 'slonik';
import { z } from 'zod';
import { within, type Window } from './windows.ts';

/** At most this many violations of one invariant are listed. All are counted. */
const LISTED_MAX = 100;

/** The invariants of audit.violations. */
export const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9'];

const Violation = z.object({
  invariant: z.string(),
  severity: z.string(),
  order_id: z.guid().nullable(),
  evidence: z.record(z.string(), z.unknown()),
});

/** A violation of an invariant. `order_id` is null when it concerns no single order. */
export type Violation = z.infer<typeof Violation>;

/** What an audit found: how many orders it checked, the number of violations per invariant, and the first of each. */
export type Findings = { orders: number; counts: Record<string, number>; listed: Violation[] };

const Found = Violation.extend({ found: z.int() });

/** Finds the violations in one window, in the caller's snapshot. */
export async function checkWindow(
  tx: CommonQueryMethods,
  window: Window,
  listedMax = LISTED_MAX,
): Promise<Findings> {
  const rows = await tx.any(sql.type(Found)`
    SELECT invariant, severity, order_id, evidence, found::integer
    FROM (
      SELECT v.invariant, v.severity, v.order_id, v.evidence,
        count(*) OVER (PARTITION BY v.invariant) AS found,
        row_number() OVER (PARTITION BY v.invariant ORDER BY v.order_id) AS number
      FROM audit.violations AS v
      WHERE ${within(window, 'v.order_id')}
    ) AS v
    WHERE number <= ${listedMax}
    ORDER BY invariant, order_id
  `);
  const orders = await tx.oneFirst(sql.type(z.object({ orders: z.int() }))`
    SELECT count(*)::integer AS orders FROM orders WHERE ${within(window, 'id')}
  `);
  return {
    orders,
    counts: Object.fromEntries(rows.map(({ invariant, found }) => [invariant, found])),
    listed: rows.map(({ found: _, ...violation }) => violation),
  };
}

/** Adds the findings of a part to the whole. The whole lists at most `listedMax` violations per invariant. */
export function addFindings(whole: Findings, part: Findings, listedMax = LISTED_MAX): void {
  whole.orders += part.orders;
  for (const [invariant, count] of Object.entries(part.counts)) {
    const known = whole.counts[invariant] ?? 0;
    const found = part.listed.filter((violation) => violation.invariant === invariant);
    whole.listed.push(...found.slice(0, Math.max(listedMax - known, 0)));
    whole.counts[invariant] = known + count;
  }
}

/** The number of violations, listed or not. */
export function total({ counts }: Findings): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

export function noFindings(): Findings {
  return { orders: 0, counts: {}, listed: [] };
}
