import { sql, type CommonQueryMethods } from 'slonik';
import { z } from 'zod';
import { addFindings, checkWindow, noFindings, type Findings, type Violation } from './check.ts';
import { checkHeads, coverage, coveredUpTo } from './check-heads.ts';
import { positionOf, signEvidence, toSections, writeEvidence } from './evidence.ts';
import { factsOf, Tally, type WindowFacts } from './facts.ts';
import { readHeads } from './heads.ts';
import type { PublicKeys, Signer } from './keys.ts';
import { throughWindows } from './pipeline.ts';
import { createProgress } from './progress.ts';
import type { Report } from './report.ts';
import { openSession, type AuditSession } from './session.ts';
import { allWindows, changedSince, listedWindows, within, type Window } from './windows.ts';

/** How many windows are checked at a time. Each has its own connection; so have the heads and the list of windows. */
const SESSIONS = 2;

type AuditOptions = {
  databaseUrl: string;
  keys: PublicKeys | null;
  since?: Date | undefined;
  evidence?: { file: string; signer: Signer } | undefined;
  windowOrders?: number;
};

type WindowResult = { findings: Findings; covered: number; facts: WindowFacts | null };

/** Audits a database: the invariants window by window, and the heads. Throws when the audit cannot run. */
export async function runAudit(options: AuditOptions): Promise<Report> {
  const started = performance.now();
  const sessions: AuditSession[] = [];
  try {
    while (sessions.length < SESSIONS + 2) sessions.push(await openSession(options.databaseUrl));
    const report = await audit(
      sessions as [AuditSession, AuditSession, ...AuditSession[]],
      options,
    );
    return { ...report, seconds: (performance.now() - started) / 1000 };
  } finally {
    await Promise.allSettled(sessions.map((session) => session.end()));
  }
}

async function audit(
  [coordinator, forHeads, ...workers]: [AuditSession, AuditSession, ...AuditSession[]],
  { keys, since, evidence, windowOrders }: AuditOptions,
): Promise<Omit<Report, 'seconds'>> {
  const begun = await positionOf(coordinator);
  const findings = noFindings();
  const tally = new Tally();
  let found = 0;
  const known = await readHeads(coordinator);
  const to_xid = coveredUpTo(known);
  const progress = createProgress(since ? 0 : await estimateOrders(coordinator));
  const windows = since
    ? listedWindows(coordinator, changedSince(since))
    : allWindows(coordinator, windowOrders);
  const work = async (tx: CommonQueryMethods, window: Window): Promise<WindowResult> => ({
    findings: await checkWindow(tx, window),
    covered: await countEvents(tx, window, to_xid),
    facts: evidence ? await factsOf(tx, window) : null,
  });
  const take = (result: WindowResult) => {
    addFindings(findings, result.findings);
    found += result.covered;
    if (result.facts) tally.add(result.facts);
    progress.advance(result.findings.orders);
  };
  const [heads] = await Promise.all([
    checkHeads(forHeads, known, keys, since),
    throughWindows(workers, windows, work, take),
  ]);
  progress.end();
  const uncovered = since ? [] : coverage(heads.result, found);
  addFindings(findings, toFindings([...heads.violations, ...uncovered]));
  if (evidence) {
    const sections = await toSections(coordinator, { started: begun, tally, findings });
    await writeEvidence(evidence.file, signEvidence(sections, evidence.signer));
  }
  return {
    findings,
    heads: heads.result,
    ...(since && { since }),
    ...(evidence && { evidence_file: evidence.file }),
  };
}

function toFindings(listed: Violation[]): Findings {
  return { orders: 0, counts: listed.length > 0 ? { HEADS: listed.length } : {}, listed };
}

/** The number of events of a window that the heads must cover. */
function countEvents(tx: CommonQueryMethods, window: Window, to_xid: string): Promise<number> {
  return tx.oneFirst(sql.type(z.object({ events: z.int() }))`
    SELECT count(*)::integer AS events FROM order_events
    WHERE ${within(window, 'order_id')} AND coalesce(xact_id, '0') < ${to_xid}
  `);
}

function estimateOrders(session: AuditSession): Promise<number> {
  return session.oneFirst(sql.type(z.object({ orders: z.number() }))`
    SELECT reltuples::float8 AS orders FROM pg_class WHERE oid = 'orders'::regclass
  `);
}
