import { total, type Findings, type Violation } from './check.ts';
import type { HeadsResult } from './check-heads.ts';

const EVIDENCE_LENGTH_MAX = 400;

/** The result of one run of the audit. */
export type Report = {
  findings: Findings;
  heads: HeadsResult;
  since?: Date;
  seconds: number;
  evidence_file?: string;
};

/** The report as text: one line per violation, then a summary. */
export function toText(report: Report): string {
  const { findings, heads, since, seconds, evidence_file } = report;
  const left = total(findings) - findings.listed.length;
  return [
    ...findings.listed.map(toLine),
    ...(left > 0 ? [`… and ${left.toLocaleString('en')} more`] : []),
    `${count(findings.orders, 'order')}${since ? ` since ${since.toISOString()}` : ''} audited in ` +
      `${seconds.toFixed(1)} s: ${summary(findings)}`,
    describeHeads(heads),
    ...(evidence_file ? [`Evidence written to ${evidence_file}`] : []),
    '',
  ].join('\n');
}

/** The report as JSON. */
export function toJson({ findings, heads, since, seconds, evidence_file }: Report): string {
  const result = {
    clean: total(findings) === 0,
    since: since?.toISOString() ?? null,
    seconds: Math.round(seconds * 10) / 10,
    orders: findings.orders,
    counts: findings.counts,
    heads,
    violations: findings.listed,
    not_listed: total(findings) - findings.listed.length,
    ...(evidence_file !== undefined && { evidence_file }),
  };
  return `${JSON.stringify(result, null, 2)}\n`;
}

function toLine({ invariant, severity, order_id, evidence }: Violation): string {
  const text = JSON.stringify(evidence);
  const shown = text.length > EVIDENCE_LENGTH_MAX ? `${text.slice(0, EVIDENCE_LENGTH_MAX)}…` : text;
  return `${invariant.padEnd(5)} ${severity.padEnd(8)} ${(order_id ?? '-').padEnd(36)}  ${shown}`;
}

function summary(findings: Findings): string {
  if (total(findings) === 0) return 'no violation';
  const parts = Object.entries(findings.counts).sort(([a], [b]) => a.localeCompare(b));
  return `${count(total(findings), 'violation')} (${parts.map(([name, n]) => `${name}: ${n}`).join(', ')})`;
}

function describeHeads({ checked, signatures, newest_at }: HeadsResult): string {
  if (checked === 0) return 'Signed heads: none to recompute';
  const signed =
    signatures === 'checked'
      ? 'signatures checked'
      : 'signatures NOT checked: no public key is given';
  return `Signed heads: ${checked} recomputed, ${signed}; the newest is from ${newest_at}`;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
