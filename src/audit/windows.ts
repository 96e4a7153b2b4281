import type { Session } from './session.ts';

/** Orders per window: about a second of work, so that no snapshot stays open for long. */
const WINDOW_ORDERS = 20_000;
/** Named orders per window; a list is looked up one by one. */
const WINDOW_IDS = 5_000;
const LOWEST_ID = '00000000-0000-0000-0000-000000000000';

/** Which orders a window is about: a range of ids, open at the end when `to` is null, or a list. */
export type Window = { from: string; to: string | null } | { ids: string[] };

/**
 * Ranges that together cover every possible id, with `size` orders in each. Ranges without orders are included, because
 * they may contain jobs.
 */
export async function* allWindows(session: Session, size = WINDOW_ORDERS): AsyncGenerator<Window> {
  let from = LOWEST_ID;
  for (;;) {
    const [next] = await session.rows<{ id: string }>(
      'SELECT id FROM orders WHERE id > $1 ORDER BY id OFFSET $2 LIMIT 1',
      [from, size - 1],
    );
    yield { from, to: next?.id ?? null };
    if (!next) return;
    from = next.id;
  }
}

/**
 * The ids that a query gives, in order, list by list. The cursor is kept by the server without a
 * transaction (WITH HOLD), so that neither memory nor snapshot grows with their number.
 */
export async function* listedWindows(
  session: Session,
  query: string,
  size = WINDOW_IDS,
): AsyncGenerator<Window> {
  await session.snapshot(() =>
    session.rows(`DECLARE audited_orders NO SCROLL CURSOR WITH HOLD FOR ${query}`),
  );
  for (;;) {
    const rows = await session.rows<{ id: string }>(`FETCH ${size} FROM audited_orders`);
    if (rows.length > 0) yield { ids: rows.map(({ id }) => id) };
    if (rows.length < size) break;
  }
  await session.rows('CLOSE audited_orders');
}

/** Orders that something has happened to since, or that have a job from since then. */
export function changedSince(since: Date): string {
  const at = `'${since.toISOString()}'::timestamptz`;
  return `
    SELECT order_id AS id FROM order_events WHERE at >= ${at}
    UNION
    SELECT id FROM pgboss.job WHERE name = 'process-order' AND created_on >= ${at}
    ORDER BY id
  `;
}

/** A condition on a column of ids, and its parameters, from $1 on. */
export function conditionOf(window: Window, column: string): { text: string; values: unknown[] } {
  if ('ids' in window) return { text: `${column} = ANY ($1::uuid[])`, values: [window.ids] };
  if (window.to === null) return { text: `${column} >= $1`, values: [window.from] };
  return { text: `${column} >= $1 AND ${column} < $2`, values: [window.from, window.to] };
}
