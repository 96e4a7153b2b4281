import { addFindings, checkWindow, noFindings, type Findings, type Violation } from './check.ts';
import {
  factsOf,
  positionOf,
  signEvidence,
  Tally,
  toSections,
  writeEvidence,
  type WindowFacts,
} from './evidence.ts';
import { checkHeads, coverage, coveredUpTo, readHeads } from './heads.ts';
import type { PublicKeys, Signer } from './keys.ts';
import { throughWindows } from './pipeline.ts';
import { createProgress } from './progress.ts';
import type { Report } from './report.ts';
import { openSession, type Session } from './session.ts';
import { allWindows, changedSince, conditionOf, listedWindows, type Window } from './windows.ts';

/** Windows at the same time, each on a connection of its own; the heads have another, and so has the list. */
const SESSIONS = 2;

export type AuditOptions = {
  databaseUrl: string;
  keys: PublicKeys | null;
  since?: Date | undefined;
  evidence?: { file: string; signer: Signer } | undefined;
  windowOrders?: number;
};

type WindowResult = { findings: Findings; covered: number; facts: WindowFacts | null };

/** Audits a database: the invariants window by window, then the heads. Throws when it cannot. */
export async function runAudit(options: AuditOptions): Promise<Report> {
  const started = performance.now();
  const sessions: Session[] = [];
  try {
    while (sessions.length < SESSIONS + 2) sessions.push(await openSession(options.databaseUrl));
    const report = await audit(sessions as [Session, Session, ...Session[]], options);
    return { ...report, seconds: (performance.now() - started) / 1000 };
  } finally {
    await Promise.allSettled(sessions.map((session) => session.close()));
  }
}

async function audit(
  [coordinator, forHeads, ...workers]: [Session, Session, ...Session[]],
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
  const work = async (session: Session, window: Window): Promise<WindowResult> => ({
    findings: await checkWindow(session, window),
    covered: await countEvents(session, window, to_xid),
    facts: evidence ? await factsOf(session, window) : null,
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

/** How many events of a window the heads should cover. */
async function countEvents(session: Session, window: Window, to_xid: string): Promise<number> {
  const within = conditionOf(window, 'order_id');
  const [row] = await session.rows<{ events: number }>(
    `SELECT count(*)::integer AS events FROM order_events
     WHERE ${within.text} AND coalesce(xact_id, '0') < $${within.values.length + 1}`,
    [...within.values, to_xid],
  );
  return row?.events ?? 0;
}

async function estimateOrders({ rows }: Session): Promise<number> {
  const [row] = await rows<{ orders: number }>(
    `SELECT reltuples::float8 AS orders FROM pg_class WHERE oid = 'orders'::regclass`,
  );
  return row?.orders ?? 0;
}
