import type { Verdict } from './verdict.ts';

const EXAMPLES_MAX = 5;

/** The report at the end of a run, as text. */
export function report(verdict: Verdict, extra: Record<string, string | number>): string {
  const kinds = Object.entries(verdict.faults).sort(([a], [b]) => a.localeCompare(b));
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  const rows: [string, string | number][] = [
    ['orders acknowledged', `${verdict.acknowledged}, of these cancelled ${verdict.cancelled}`],
    ['without a final reply', verdict.unreplied.length],
    ['lost', verdict.lost.length],
    ['doubled', verdict.doubled.length],
    ['stranded', verdict.stranded.length],
    ['in another state than acknowledged', verdict.wrong.length],
    ['completed without the external step', verdict.uncalled.length],
    ...Object.entries(extra),
    ['unexpected events', verdict.unexpected.length],
    ['faults injected', `${total} of ${kinds.length} kinds`],
    ...kinds.map(([kind, count]): [string, number] => [`  ${kind}`, count]),
    ['faults that did not happen', verdict.notReached.length],
    [
      'longest time to recover',
      `${inSeconds(verdict.recoveryMs)} until an order placed after the fault was completed (${verdict.recoveryAfter})`,
    ],
    ['longest open', `${inSeconds(verdict.longestOpenMs)} from acknowledged to ended`],
    [
      'longest open after a kill',
      `${inSeconds(verdict.longestOpenAfterKillMs)} (${verdict.longestOpenAfterKill})`,
    ],
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(36)}${value}`);
  return [...lines, ...examples(verdict)].join('\n');
}

function examples(verdict: Verdict): string[] {
  const { unreplied, lost, doubled, stranded, wrong, uncalled, unexpected } = verdict;
  const found = {
    'without a final reply': unreplied,
    lost,
    doubled,
    stranded,
    wrong,
    uncalled,
    unexpected,
    'did not happen': verdict.notReached,
    violations: verdict.violations.map((violation) => JSON.stringify(violation)),
  };
  return Object.entries(found).flatMap(([name, all]) =>
    all.slice(0, EXAMPLES_MAX).map((one) => `${name}: ${one}`),
  );
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
