import { sql, type FragmentSqlToken } from 'slonik';
import { z } from 'zod';
import { inSnapshot, type AuditSession } from './session.ts';

/** Orders per window: about a second of work, so that each snapshot is short. */
const WINDOW_ORDERS = 20_000;
const LOWEST_ID = '00000000-0000-0000-0000-000000000000';

/** The orders of a window: a range of ids, open at the end when `to` is null, or a list of ids. */
export type Window = { from: string; to: string | null } | { ids: string[] };

const Id = z.object({ id: z.guid() });

/**
 * Yields ranges that together cover every possible id, with about `size` orders in each. Ranges without orders are
 * included, because they may contain jobs.
 */
export async function* allWindows(
  session: AuditSession,
  size = WINDOW_ORDERS,
): AsyncGenerator<Window> {
  let from = LOWEST_ID;
  for (;;) {
    const next = await session.maybeOneFirst(sql.type(Id)`
      SELECT id FROM orders WHERE id > ${from} ORDER BY id OFFSET ${size - 1} LIMIT 1
    `);
    yield { from, to: next };
    if (!next) return;
    from = next;
  }
}

/**
 * Yields the ids that a query returns, in order, list by list. The query has no parameters, because a cursor takes
 * none. The server keeps the cursor without a transaction (WITH HOLD), so neither memory nor the age of a snapshot
 * grows with the number of ids.
 */
export async function* listedWindows(
  session: AuditSession,
  query: FragmentSqlToken,
): AsyncGenerator<Window> {
  await inSnapshot(session, (tx) =>
    tx.query(sql.unsafe`DECLARE audited_orders NO SCROLL CURSOR WITH HOLD FOR ${query}`),
  );
  for (;;) {
    const ids = await session.anyFirst(sql.type(Id)`FETCH 5000 FROM audited_orders`);
    if (ids.length === 0) break;
    yield { ids: [...ids] };
  }
  await session.query(sql.unsafe`CLOSE audited_orders`);
}

/** A query of the orders with an event or a job that is not older than `since`. */
export function changedSince(since: Date): FragmentSqlToken {
  const at = sql.fragment`${sql.literalValue(since.toISOString())}::timestamptz`;
  return sql.fragment`
    SELECT order_id AS id FROM order_events WHERE at >= ${at}
    UNION
    SELECT id FROM pgboss.job WHERE name = 'process-order' AND created_on >= ${at}
    ORDER BY id
  `;
}

/** The condition that a column, such as `o.id`, has the id of an order of the window. */
export function within(window: Window, column: string): FragmentSqlToken {
  const id = sql.identifier(column.split('.'));
  if ('ids' in window) return sql.fragment`${id} = ANY(${sql.array(window.ids, 'uuid')})`;
  if (window.to === null) return sql.fragment`${id} >= ${window.from}`;
  return sql.fragment`${id} >= ${window.from} AND ${id} < ${window.to}`;
}
