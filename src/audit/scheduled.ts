/*
 * The audit that runs every 5 minutes. It checks the orders with an event or a job since the last run, the orders with
 * an event that has become older than the bound on progress since then, and the orders that the last run has marked to
 * be watched. Its cost depends on the traffic, not on the history. npm run audit checks all orders.
 */
import { sql, type CommonQueryMethods, type FragmentSqlToken } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { addFindings, checkWindow, noFindings, total, type Findings } from './check.ts';
import { throughWindows } from './pipeline.ts';
import { openSession, type AuditSession } from './session.ts';
import { listedWindows } from './windows.ts';

/** The next run watches at most this many orders of each violated invariant, and as many that were open for long. */
const WATCHED_MAX = 10_000;
/** How far the first run looks back. */
const FIRST_LOOK_BACK = '1 day';
/** No transaction is expected to stay open for longer after its event or job. */
const MARGIN = sql.fragment`interval '10 minutes'`;

const Cursor = z.object({ started_at: z.string(), to_xid: z.string() });
type Cursor = z.infer<typeof Cursor>;

const LastRun = Cursor.extend({ watched: z.array(z.guid()) });
type LastRun = z.infer<typeof LastRun>;

/** Runs the audit once, and stores a row about it in audit_runs. Logs one line per broken invariant. */
export async function runScheduledAudit({
  config,
  log,
}: Pick<Deps, 'config' | 'log'>): Promise<Findings> {
  const session = await openSession(config.DATABASE_URL);
  const worker = await openSession(config.DATABASE_URL).catch(async (error: unknown) => {
    await session.end();
    throw error;
  });
  try {
    const last = await lastRun(session);
    const now = await currentCursor(session);
    const findings = noFindings();
    const waiting: string[] = [];
    await throughWindows(
      [worker],
      listedWindows(session, changedOrders(last, now)),
      async (tx, window) => ({
        found: await checkWindow(tx, window, WATCHED_MAX),
        waiting: 'ids' in window ? await openForLong(tx, window.ids) : [],
      }),
      (result) => {
        addFindings(findings, result.found, WATCHED_MAX);
        waiting.push(...result.waiting.slice(0, WATCHED_MAX - waiting.length));
      },
    );
    await storeRun(session, now, findings, waiting);
    report(log, findings);
    return findings;
  } finally {
    await Promise.allSettled([session.end(), worker.end()]);
  }
}

async function lastRun(session: AuditSession): Promise<LastRun> {
  const last = await session.maybeOne(sql.type(LastRun)`
    SELECT to_json(started_at) #>> '{}' AS started_at, to_xid::text, watched
    FROM audit_runs
    ORDER BY id DESC
    LIMIT 1
  `);
  if (last) return last;
  const started_at = await session.oneFirst(sql.type(z.object({ started_at: z.string() }))`
    SELECT to_json(now() - ${FIRST_LOOK_BACK}::interval) #>> '{}' AS started_at
  `);
  return { started_at, to_xid: '0', watched: [] };
}

/** Every transaction below to_xid has ended, so the next run misses none when it starts from there. */
function currentCursor(session: AuditSession): Promise<Cursor> {
  return session.one(sql.type(Cursor)`
    SELECT to_json(now()) #>> '{}' AS started_at, pg_snapshot_xmin(pg_current_snapshot())::text AS to_xid
  `);
}

/** The ids of the orders to check. */
function changedOrders(last: LastRun, now: Cursor): FragmentSqlToken {
  const since = sql.fragment`${last.started_at}::timestamptz`;
  const until = sql.fragment`${now.started_at}::timestamptz`;
  return sql.fragment`
    SELECT order_id AS id FROM order_events
    WHERE at >= ${since} - ${MARGIN} AND coalesce(xact_id, '0') >= ${last.to_xid}::xid8
    UNION
    SELECT order_id FROM order_events
    WHERE at >= ${since} - audit.bound_on_progress() - ${MARGIN}
      AND at < ${until} - audit.bound_on_progress()
    UNION
    SELECT id FROM pgboss.job
    WHERE name = 'process-order' AND created_on >= ${since} - ${MARGIN}
    UNION
    SELECT unnest(${sql.array(last.watched, 'uuid')})
  `;
}

/** Orders that have been open for long. The next run checks them again, because they may get no further event. */
async function openForLong(tx: CommonQueryMethods, ids: string[]): Promise<readonly string[]> {
  return tx.anyFirst(sql.type(z.object({ id: z.guid() }))`
    SELECT id FROM orders
    WHERE id = ANY(${sql.array(ids, 'uuid')}) AND status IN ('PENDING', 'PROCESSING')
      AND updated_at < now() - audit.bound_on_progress()
    ORDER BY id
    LIMIT ${WATCHED_MAX}
  `);
}

async function storeRun(
  session: AuditSession,
  { started_at, to_xid }: Cursor,
  { orders, counts, listed }: Findings,
  waiting: string[],
): Promise<void> {
  const broken = listed.flatMap(({ order_id }) => order_id ?? []);
  const watched = [...new Set([...broken, ...waiting])];
  await session.query(sql.unsafe`
    INSERT INTO audit_runs (started_at, finished_at, to_xid, orders, violations, watched)
    VALUES (
      ${started_at}, now(), ${to_xid}, ${orders}, ${JSON.stringify(counts)},
      ${sql.array(watched, 'uuid')}
    )
  `);
  await session.query(
    sql.unsafe`DELETE FROM audit_runs WHERE started_at < now() - interval '30 days'`,
  );
}

function report(log: Deps['log'], findings: Findings): void {
  for (const [invariant, violations] of Object.entries(findings.counts)) {
    const first = findings.listed.find((listed) => listed.invariant === invariant);
    log.error(
      { invariant, violations, order_id: first?.order_id, evidence: first?.evidence },
      'invariant violated',
    );
  }
  log.info({ orders: findings.orders, violations: total(findings) }, 'orders audited');
}
