import type { Session } from './session.ts';
import { conditionOf, type Window } from './windows.ts';

/** The most violations of one invariant that are listed; all others are only counted. */
export const LISTED_MAX = 100;

/** The invariants of audit.violations. */
export const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9'];

/** A breach of an invariant; about no order in particular when there is no id. */
export type Violation = {
  invariant: string;
  severity: string;
  order_id: string | null;
  evidence: Record<string, unknown>;
};

/** What an audit found: the number for each invariant, and the first of each. */
export type Findings = { orders: number; counts: Record<string, number>; listed: Violation[] };

type Row = Violation & { found: number };

/** Looks for what breaks an invariant in one window. Everything is read in the caller's snapshot. */
export async function checkWindow(
  session: Session,
  window: Window,
  listedMax = LISTED_MAX,
): Promise<Findings> {
  const within = conditionOf(window, 'v.order_id');
  const rows = await session.rows<Row>(
    `SELECT invariant, severity, order_id, evidence, found::integer
     FROM (
       SELECT v.invariant, v.severity, v.order_id, v.evidence,
         count(*) OVER (PARTITION BY v.invariant) AS found,
         row_number() OVER (PARTITION BY v.invariant ORDER BY v.order_id) AS number
       FROM audit.violations AS v
       WHERE ${within.text}
     ) AS v
     WHERE number <= ${listedMax}
     ORDER BY invariant, order_id`,
    within.values,
  );
  return {
    orders: await countOrders(session, window),
    counts: Object.fromEntries(rows.map(({ invariant, found }) => [invariant, found])),
    listed: rows.map(({ invariant, severity, order_id, evidence }) => ({
      invariant,
      severity,
      order_id,
      evidence,
    })),
  };
}

async function countOrders(session: Session, window: Window): Promise<number> {
  const within = conditionOf(window, 'id');
  const [row] = await session.rows<{ orders: number }>(
    `SELECT count(*)::integer AS orders FROM orders WHERE ${within.text}`,
    within.values,
  );
  return row?.orders ?? 0;
}

/** Adds what a part found to the whole, which lists no more than the first of each invariant. */
export function addFindings(whole: Findings, part: Findings, listedMax = LISTED_MAX): void {
  whole.orders += part.orders;
  for (const [invariant, count] of Object.entries(part.counts)) {
    const known = whole.counts[invariant] ?? 0;
    const found = part.listed.filter((violation) => violation.invariant === invariant);
    whole.listed.push(...found.slice(0, Math.max(listedMax - known, 0)));
    whole.counts[invariant] = known + count;
  }
}

/** How many violations there are in all, listed or not. */
export function total({ counts }: Findings): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

export function noFindings(): Findings {
  return { orders: 0, counts: {}, listed: [] };
}
