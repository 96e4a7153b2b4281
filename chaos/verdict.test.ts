import test from 'ava';
import { judge, type RunFacts, type Stored } from './verdict.ts';

const placed = {
  marker: '1:1',
  id: 'a',
  sentAt: 1000,
  acknowledgedAt: 1010,
  hasReply: true,
  cancelled: false,
};
const completed: Stored = {
  marker: '1:1',
  id: 'a',
  status: 'COMPLETED',
  completions: 1,
  cancellations: 0,
  ended_by: 'worker:host:1',
  changed_at: 1500,
};
const once = 'completed 1 times, cancelled 0 times';
const cancelled: Stored = { ...completed, status: 'CANCELLED', completions: 0, cancellations: 1 };
const nothing: RunFacts = {
  placed: [],
  stored: [],
  injected: [],
  violations: [],
  unexpected: [],
  fulfillers: new Set(),
  accepted: new Set(),
};
const healthy: RunFacts = { ...nothing, placed: [placed], stored: [completed] };

test('a run is clean when its acknowledged order was completed once', (t) => {
  t.like(judge(healthy), {
    clean: true,
    acknowledged: 1,
    longestOpenMs: 490,
    longestOpenOrder: 'a',
  });
});

test('a cancelled order is clean when its cancellation was acknowledged', (t) => {
  const acknowledged = { ...placed, cancelled: true };

  t.like(judge({ ...nothing, placed: [acknowledged], stored: [cancelled] }), {
    clean: true,
    cancelled: 1,
  });
});

test('an acknowledged order is lost when the database does not have it, or has it under another id', (t) => {
  t.like(judge({ ...healthy, stored: [] }), { clean: false, lost: ['1:1 a'] });
  t.like(judge({ ...healthy, stored: [{ ...completed, id: 'b' }] }), { lost: ['1:1 a'] });
});

test('an order is doubled when the database has it twice, or when it ended twice', (t) => {
  const twice = judge({ ...healthy, stored: [completed, { ...completed, id: 'b' }] });
  const endedTwice = judge({ ...healthy, stored: [{ ...completed, completions: 2 }] });
  const both = judge({ ...healthy, stored: [{ ...completed, cancellations: 1 }] });

  for (const verdict of [twice, endedTwice, both]) {
    t.false(verdict.clean);
    t.is(verdict.doubled.length, 1);
  }
});

test('an order that is still open at the end is stranded, even if it was not acknowledged', (t) => {
  for (const status of ['PENDING', 'PROCESSING']) {
    const open = { ...completed, status, completions: 0 };
    t.is(judge({ ...healthy, stored: [open] }).stranded.length, 1);
    t.false(judge({ ...nothing, stored: [open] }).clean);
  }
});

test('an order is wrong when it ended differently from what its customer was told', (t) => {
  const acknowledged = { ...placed, cancelled: true };
  const cases: RunFacts[] = [
    { ...healthy, placed: [acknowledged] },
    { ...healthy, stored: [cancelled] },
    { ...healthy, stored: [{ ...completed, status: 'FAILED', completions: 0 }] },
    { ...healthy, stored: [{ ...completed, completions: 0 }] },
    { ...healthy, placed: [acknowledged], stored: [{ ...cancelled, cancellations: 0 }] },
  ];
  for (const findings of cases) {
    t.is(judge(findings).wrong.length, 1);
    t.false(judge(findings).clean);
  }
});

test('an order without a final reply makes the run unclean', (t) => {
  const unreplied = { ...placed, hasReply: false };

  t.like(judge({ ...healthy, placed: [unreplied] }), { clean: false, unreplied: ['1:1 a'] });
  t.like(judge({ ...nothing, placed: [{ ...unreplied, id: null }] }), { clean: false, lost: [] });
});

test('an audit violation or an unexpected event makes the run unclean', (t) => {
  const violation = { invariant: 'I1', order_id: 'a', evidence: {} };

  t.false(judge({ ...healthy, violations: [violation] }).clean);
  t.false(judge({ ...healthy, unexpected: ['api-0 ended'] }).clean);
});

test('recovery lasts from a fault until an order that was sent after the fault is completed', (t) => {
  const fault = { kind: 'kill-worker', target: 0, atMs: 1 } as const;
  const before = { ...placed, marker: '1:0', id: 'b', sentAt: 100 };
  const verdict = judge({
    ...healthy,
    placed: [before, placed],
    stored: [{ ...completed, marker: '1:0', id: 'b', changed_at: 600 }, completed],
    injected: [{ ...fault, happenedAt: 500 }],
  });

  t.like(verdict, { recoveryMs: 1000, recoveryAfter: 'kill-worker #0' });
});

test('an order that a worker with an external step completed without calling the step makes the run unclean', (t) => {
  const fulfilling = { ...healthy, fulfillers: new Set([completed.ended_by]) };

  t.like(judge(fulfilling), { clean: false, uncalled: [`a COMPLETED, ${once}`] });
  t.true(judge({ ...fulfilling, accepted: new Set(['a']) }).clean);
  t.true(judge({ ...healthy, fulfillers: new Set(['worker:host:2']) }).clean);
});

test('the longest time open after a kill counts only orders that were open at the kill', (t) => {
  const kill = { kind: 'kill-worker', target: 0, atMs: 1 } as const;
  const killedAt = (happenedAt: number) =>
    judge({ ...healthy, injected: [{ ...kill, happenedAt }] });

  t.like(killedAt(1200), { longestOpenAfterKillMs: 300, longestOpenAfterKill: 'kill-worker #0' });
  t.is(killedAt(900).longestOpenAfterKillMs, 0, 'the kill was before the order was sent');
  t.is(killedAt(1600).longestOpenAfterKillMs, 0, 'the kill was after the order had ended');
});

test('a fault that did not happen makes the run unclean, and is not counted', (t) => {
  const crash = {
    kind: 'crash-api',
    target: 0,
    point: 'after-commit',
    pass: 1,
    delayMs: 0,
    atMs: 1,
  } as const;
  const injected = [
    { ...crash, happenedAt: 500 },
    { ...crash, pass: 2, happenedAt: null },
  ];

  t.like(judge({ ...healthy, injected }), {
    clean: false,
    faults: { 'crash-api': 1 },
    notReached: ['crash-api #0 point after-commit pass 2'],
  });
});
