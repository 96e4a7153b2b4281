import { sql, type FragmentSqlToken } from 'slonik';
import { z } from 'zod';
import { inSnapshot, type AuditSession } from './session.ts';

/** Orders per window: about a second of work, so that each snapshot is short. */
const WINDOW_ORDERS = 20_000;
/** Ids per page of `listedWindows`: a few megabytes. Pages are long, because each one runs the whole query again. */
const PAGE_IDS = 100_000;
/** Ids per window of `listedWindows`. */
const WINDOW_IDS = 5000;
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
 * Yields the ids that a query returns, in order, list by list. It reads them page by page, each page in a snapshot of
 * its own, so neither memory nor the age of a snapshot grows with the number of ids. It stops at the id that was the
 * highest at the beginning, because new orders may arrive all the time.
 */
export async function* listedWindows(
  session: AuditSession,
  query: FragmentSqlToken,
  pageIds = PAGE_IDS,
): AsyncGenerator<Window> {
  const last = await inSnapshot(session, (tx) =>
    tx.maybeOneFirst(sql.type(Id)`SELECT id FROM (${query}) AS listed ORDER BY id DESC LIMIT 1`),
  );
  if (last === null) return;
  for (let after: string | null = null; ;) {
    const from: FragmentSqlToken =
      after === null ? sql.fragment`true` : sql.fragment`id > ${after}`;
    const ids: readonly string[] = await inSnapshot(session, (tx) =>
      tx.anyFirst(sql.type(Id)`
        SELECT id FROM (${query}) AS listed
        WHERE ${from} AND id <= ${last}
        ORDER BY id
        LIMIT ${pageIds}
      `),
    );
    for (let at = 0; at < ids.length; at += WINDOW_IDS) {
      yield { ids: ids.slice(at, at + WINDOW_IDS) };
    }
    after = ids.at(-1) ?? null;
    if (ids.length < pageIds) return;
  }
}

/** A query of the orders with an event or a job that is not older than `since`. */
export function changedSince(since: Date): FragmentSqlToken {
  const at = sql.fragment`${since.toISOString()}::timestamptz`;
  return sql.fragment`
    SELECT order_id AS id FROM order_events WHERE at >= ${at}
    UNION
    SELECT id FROM pgboss.job WHERE name = 'process-order' AND created_on >= ${at}
  `;
}

/** The condition that a column, such as `o.id`, has the id of an order of the window. */
export function within(window: Window, column: string): FragmentSqlToken {
  const id = sql.identifier(column.split('.'));
  if ('ids' in window) return sql.fragment`${id} = ANY(${sql.array(window.ids, 'uuid')})`;
  if (window.to === null) return sql.fragment`${id} >= ${window.from}`;
  return sql.fragment`${id} >= ${window.from} AND ${id} < ${window.to}`;
}
