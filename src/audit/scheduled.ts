/*
 * The audit that runs every few minutes: over the orders that something has happened to since the last
 * run, those that have begun to stand still meanwhile, and those that were to be watched. It costs what
 * the traffic is, not what the history is; npm run audit goes through everything.
 */
import type { Deps } from '../deps.ts';
import { addFindings, checkWindow, noFindings, total, type Findings } from './check.ts';
import { throughWindows } from './pipeline.ts';
import { openSession, type Session } from './session.ts';
import { listedWindows } from './windows.ts';

/** The most orders of one invariant that a run lists and the next run watches. */
const WATCHED_MAX = 10_000;
/** How far the very first run looks back. */
const FIRST_LOOK_BACK = '1 day';
/** The longest time between an event or a job and the end of its transaction. */
const MARGIN = '10 minutes';

type Cursor = { started_at: string; to_xid: string };
type Last = Cursor & { watched: string[] };

/** Runs the audit once, and keeps a row about it in audit_runs. Each broken invariant is a line in the log. */
export async function runScheduledAudit({
  config,
  log,
}: Pick<Deps, 'config' | 'log'>): Promise<Findings> {
  const session = await openSession(config.DATABASE_URL);
  const worker = await openSession(config.DATABASE_URL).catch(async (error: unknown) => {
    await session.close();
    throw error;
  });
  try {
    const last = await lastRun(session);
    const now = await currentCursor(session);
    const findings = noFindings();
    const waiting: string[] = [];
    const windows = listedWindows(session, changedOrders(last, now));
    await throughWindows(
      [worker],
      windows,
      async (in_, window) => ({
        found: await checkWindow(in_, window, WATCHED_MAX),
        waiting: 'ids' in window ? await openForLong(in_, window.ids) : [],
      }),
      (result) => {
        addFindings(findings, result.found, WATCHED_MAX);
        waiting.push(...result.waiting.slice(0, WATCHED_MAX - waiting.length));
      },
    );
    await remember(session, now, findings, waiting);
    report(log, findings);
    return findings;
  } finally {
    await Promise.allSettled([session.close(), worker.close()]);
  }
}

async function lastRun({ rows }: Session): Promise<Last> {
  const [last] = await rows<Last>(`
    SELECT to_json(started_at) #>> '{}' AS started_at, to_xid::text, watched::text[] AS watched
    FROM audit_runs
    ORDER BY id DESC
    LIMIT 1
  `);
  if (last) return last;
  const [first] = await rows<{ started_at: string }>(
    `SELECT to_json(now() - interval '${FIRST_LOOK_BACK}') #>> '{}' AS started_at`,
  );
  return { started_at: first?.started_at ?? '-infinity', to_xid: '0', watched: [] };
}

/** Every transaction below to_xid has ended, so the next run misses none when it starts from there. */
async function currentCursor({ rows }: Session): Promise<Cursor> {
  const [now] = await rows<Cursor>(`
    SELECT to_json(now()) #>> '{}' AS started_at, pg_snapshot_xmin(pg_current_snapshot())::text AS to_xid
  `);
  if (!now) throw new Error('SELECT without FROM gave no row');
  return now;
}

// A cursor takes no parameters. All of these values came from the database itself.
function changedOrders(last: Last, now: Cursor): string {
  const since = `timestamptz '${last.started_at}'`;
  return `
    SELECT order_id AS id FROM order_events
    WHERE at >= ${since} - interval '${MARGIN}' AND coalesce(xact_id, '0') >= '${last.to_xid}'
    UNION
    SELECT order_id FROM order_events
    WHERE at >= ${since} - audit.bound_on_progress() - interval '${MARGIN}'
      AND at < timestamptz '${now.started_at}' - audit.bound_on_progress()
    UNION
    SELECT id FROM pgboss.job
    WHERE name = 'process-order' AND created_on >= ${since} - interval '${MARGIN}'
    UNION
    SELECT unnest('{${last.watched.join(',')}}'::uuid[])
    ORDER BY id
  `;
}

/** Open orders that no event will bring up again soon, should their job get lost. */
async function openForLong({ rows }: Session, ids: string[]): Promise<string[]> {
  const open = await rows<{ id: string }>(
    `SELECT id FROM orders
     WHERE id = ANY ($1::uuid[]) AND status IN ('PENDING', 'PROCESSING')
       AND updated_at < now() - audit.bound_on_progress()
     ORDER BY id
     LIMIT ${WATCHED_MAX}`,
    [ids],
  );
  return open.map(({ id }) => id);
}

async function remember(
  { rows }: Session,
  { started_at, to_xid }: Cursor,
  { orders, counts, listed }: Findings,
  waiting: string[],
): Promise<void> {
  const broken = listed.flatMap(({ order_id }) => order_id ?? []);
  const watched = [...new Set([...broken, ...waiting])];
  await rows(
    `INSERT INTO audit_runs (started_at, finished_at, to_xid, orders, violations, watched)
     VALUES ($1, now(), $2, $3, $4, $5)`,
    [started_at, to_xid, orders, counts, watched],
  );
  await rows(`DELETE FROM audit_runs WHERE started_at < now() - interval '30 days'`);
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
