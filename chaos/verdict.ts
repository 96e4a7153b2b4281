/*
 * The verdict on a run: `judge` compares the orders that customers know with the orders in the database, and says which
 * are lost, doubled, stranded or wrong. A pure function, so tests can cover it without a run.
 */
import type { Placed } from './clients.ts';
import { describeFault, type FaultKind } from './schedule.ts';
import type { Injected } from './faults.ts';

/** An order in the database. */
export type Stored = {
  marker: string;
  id: string;
  status: string;
  completions: number;
  cancellations: number;
  /** The actor of its last event. */
  ended_by: string;
  /** The time of its last event. */
  changed_at: number;
};

/** One row of audit.violations. */
export type ViolationRow = { invariant: string; order_id: string | null; evidence: unknown };

/** Everything that is known after a run. */
export type RunFacts = {
  placed: Placed[];
  stored: Stored[];
  injected: Injected[];
  violations: ViolationRow[];
  /** Replies and calls that break the contract, and processes that ended although the run did not end them. */
  unexpected: string[];
  /** The actors, as in order_events, of the workers with an external step. */
  fulfillers: ReadonlySet<string>;
  /** The orders that the external step has accepted. */
  accepted: ReadonlySet<string>;
};

/** Counts and durations of a run, and the orders that break a promise, by kind. */
export type Verdict = {
  acknowledged: number;
  cancelled: number;
  /** Sent repeatedly, also after the last fault was over, without a final reply. */
  unreplied: string[];
  /** Acknowledged, but not in the database. */
  lost: string[];
  /** In the database twice, or ended twice. */
  doubled: string[];
  /** Still open. */
  stranded: string[];
  /** In a final status, but not in the acknowledged one. */
  wrong: string[];
  /** Completed by a worker with an external step, although the step did not accept the order. */
  uncalled: string[];
  violations: ViolationRow[];
  unexpected: string[];
  /** How many faults happened, by kind. */
  faults: Record<string, number>;
  /** Faults that did not happen, because no process reached their crash point or their statement. */
  notReached: string[];
  recoveryMs: number;
  recoveryAfter: string;
  longestOpenMs: number;
  /** The order with this time; null when there is none. */
  longestOpenOrder: string | null;
  longestOpenAfterKillMs: number;
  longestOpenAfterKill: string;
  clean: boolean;
};

/** Judges a run. An order counts as acknowledged when its customer got the reply 201. */
export function judge(findings: RunFacts): Verdict {
  const { placed, stored, injected, violations, unexpected, fulfillers, accepted } = findings;
  const byMarker = Map.groupBy(stored, ({ marker }) => marker);
  const acknowledged = placed.filter(({ id }) => id !== null);
  const unreplied = placed.filter(({ hasReply }) => !hasReply);
  const lost = acknowledged.filter(
    ({ marker, id }) => !byMarker.get(marker)?.some((order) => order.id === id),
  );
  const doubled = [...byMarker].filter(([, orders]) => orders.length > 1 || orders.some(isTwice));
  const stranded = stored.filter(({ status }) => status === 'PENDING' || status === 'PROCESSING');
  const knownById = new Map(placed.map((order) => [order.id, order]));
  const wrong = stored.filter((order) => isWrong(order, knownById.get(order.id)));
  const uncalled = stored.filter(
    ({ id, status, ended_by }) =>
      status === 'COMPLETED' && fulfillers.has(ended_by) && !accepted.has(id),
  );
  const counted = countFaults(injected);
  const problems = [unreplied, lost, doubled, stranded, wrong, uncalled, violations, unexpected];
  return {
    acknowledged: acknowledged.length,
    cancelled: acknowledged.filter(({ cancelled }) => cancelled).length,
    unreplied: unreplied.map(({ marker, id }) => `${marker} ${id ?? ''}`),
    lost: lost.map(({ marker, id }) => `${marker} ${id}`),
    doubled: doubled.map(([marker, orders]) => `${marker} ${orders.map(describe).join(', ')}`),
    stranded: stranded.map(describe),
    wrong: wrong.map(describe),
    uncalled: uncalled.map(describe),
    violations,
    unexpected,
    ...counted,
    ...worstRecovery(placed, stored, injected),
    ...longestOpen(acknowledged, stored),
    ...longestOpenAfterKill(acknowledged, stored, injected),
    clean: [...problems, counted.notReached].every(({ length }) => length === 0),
  };
}

function isTwice({ completions, cancellations }: Stored): boolean {
  return completions + cancellations > 1;
}

/** Whether an order ended differently from what its customer was told, or not by exactly one event. */
function isWrong({ status, completions, cancellations }: Stored, known?: Placed): boolean {
  if (status === 'PENDING' || status === 'PROCESSING') return false; // stranded
  if (status === 'COMPLETED') return completions !== 1 || known?.cancelled === true;
  return status !== 'CANCELLED' || cancellations !== 1 || known?.cancelled !== true;
}

function countFaults(injected: Injected[]) {
  const faults: Record<string, number> = {};
  const happened = injected.filter(({ happenedAt }) => happenedAt !== null);
  for (const { kind } of happened) faults[kind] = (faults[kind] ?? 0) + 1;
  const notReached = injected.filter((fault) => !happened.includes(fault)).map(describeFault);
  return { faults, notReached };
}

/** Over all faults, the longest time until an order that was sent after the fault was completed. */
function worstRecovery(placed: Placed[], stored: Stored[], injected: Injected[]) {
  const sentAt = new Map(placed.map((order) => [order.id, order.sentAt]));
  const completed = stored
    .filter(({ status }) => status === 'COMPLETED')
    .map(({ id, changed_at }) => ({ sent: sentAt.get(id) ?? 0, done: changed_at }));
  let worst = { recoveryMs: 0, recoveryAfter: 'nothing' };
  for (const fault of injected) {
    const at = fault.happenedAt ?? Infinity;
    const next = completed.reduce(
      (min, { sent, done }) => (sent >= at ? Math.min(min, done) : min),
      Infinity,
    );
    const ms = next - at;
    if (Number.isFinite(ms) && ms > worst.recoveryMs) {
      worst = { recoveryMs: Math.round(ms), recoveryAfter: describeFault(fault) };
    }
  }
  return worst;
}

/** The longest time from the acknowledgement of an order to its end, and the id of that order. */
function longestOpen(acknowledged: Placed[], stored: Stored[]) {
  const changedAt = new Map(stored.map(({ id, changed_at }) => [id, changed_at]));
  let longest = { longestOpenMs: 0, longestOpenOrder: null as string | null };
  for (const { id, acknowledgedAt } of acknowledged) {
    const ms = Math.round((changedAt.get(id ?? '') ?? 0) - acknowledgedAt);
    if (ms > longest.longestOpenMs) longest = { longestOpenMs: ms, longestOpenOrder: id };
  }
  return longest;
}

const KILLS = new Set<FaultKind>([
  'kill-api',
  'kill-worker',
  'crash-api',
  'crash-worker',
  'kill-backend',
]);

/** The longest time from a kill to the end of an order that was open at the kill. */
function longestOpenAfterKill(acknowledged: Placed[], stored: Stored[], injected: Injected[]) {
  const changedAt = new Map(stored.map(({ id, changed_at }) => [id, changed_at]));
  let longest = { longestOpenAfterKillMs: 0, longestOpenAfterKill: 'nothing' };
  for (const fault of injected) {
    if (fault.happenedAt === null || !KILLS.has(fault.kind)) continue;
    for (const { id, sentAt } of acknowledged) {
      const ms = Math.round((changedAt.get(id ?? '') ?? 0) - fault.happenedAt);
      if (sentAt > fault.happenedAt || ms <= longest.longestOpenAfterKillMs) continue;
      longest = { longestOpenAfterKillMs: ms, longestOpenAfterKill: describeFault(fault) };
    }
  }
  return longest;
}

function describe({ id, status, completions, cancellations }: Stored): string {
  return `${id} ${status}, completed ${completions} times, cancelled ${cancellations} times`;
}
