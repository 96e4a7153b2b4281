import { goals, isMet } from './goals.ts';
import type { Receipt } from './receipt.ts';
import { median, Results, type Figure } from './results.ts';
import { asMarkdown, asText, type Table } from './table.ts';

/** Everything about a run, as it is written to JSON. */
export type Run = { receipt: Receipt; figures: Figure[] };

/** The figures of every scenario, the goals and the receipt, as text. */
export function report({ figures, receipt }: Run): string {
  const tables = [...scenarioTables(figures), goalTable(figures), ...receiptTables(receipt)];
  return `\n${tables.map(asText).join('\n')}\n`;
}

/** The same in Markdown. */
export function reportMarkdown({ figures, receipt }: Run): string {
  const tables = [...scenarioTables(figures), goalTable(figures), ...receiptTables(receipt)];
  return tables.map(asMarkdown).join('\n');
}

/** One table for each scenario: a line for each contestant, the service first. */
export function scenarioTables(figures: Figure[]): Table[] {
  const scenarios = [...new Set(figures.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => {
    const own = figures.filter((figure) => figure.scenario === scenario);
    const contestants = [...new Set(own.map(({ contestant }) => contestant))];
    const measures = [...new Set(own.map(({ measure }) => measure))];
    const [first = ''] = contestants;
    const [measured = '', ...others] = measures;
    const rows = contestants.map((contestant) => {
      const of = (measure: string, name = contestant) =>
        own.find((figure) => figure.contestant === name && figure.measure === measure);
      const rest = others.map((measure) => spread(of(measure)));
      const figure = of(measured);
      return [contestant, spread(figure), ratioOf(figure, of(measured, first))].concat(rest);
    });
    return { title: scenario, head: ['', measured, 'ratio', ...others], rows };
  });
}

/** The median, with the least and the most of the rounds. */
function spread(figure: Figure | undefined): string {
  if (!figure) return '';
  const { samples, unit } = figure;
  const middle = `${rounded(median(samples))}${unit && ` ${unit}`}`;
  if (samples.length === 1) return middle;
  return `${middle} (${rounded(Math.min(...samples))}–${rounded(Math.max(...samples))})`;
}

function ratioOf(figure: Figure | undefined, first: Figure | undefined): string {
  if (!figure || !first || figure === first) return '';
  return `${(median(first.samples) / median(figure.samples)).toFixed(2)} ×`;
}

/** Three digits that mean something. */
export function rounded(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** Each goal, what was measured, and whether that reaches it. */
export function goalTable(figures: Figure[]): Table {
  const results = new Results(figures);
  const rows = goals.flatMap((goal) => {
    const figure = goal.figure(results);
    if (Number.isNaN(figure)) return [];
    const sign = goal.direction === 'at least' ? '≥' : '≤';
    const unit = ` ${goal.unit}`;
    const verdict = isMet(goal, figure) ? 'met' : 'missed';
    return [[goal.name, `${rounded(figure)}${unit}`, `${sign} ${goal.bound}${unit}`, verdict]];
  });
  return { title: 'goals', head: ['', 'figure', 'goal', ''], rows };
}

function receiptTables(receipt: Receipt): Table[] {
  const facts = [
    ['begun', receipt.began],
    ['took', `${Math.round(receipt.seconds)} s, ${receipt.rounds} rounds`],
    ['CPU', receipt.cpu],
    ['memory', `${receipt.memory_gib} GiB`],
    ['Node', receipt.node],
    ['packages', list(receipt.packages)],
    ['Postgres', list(receipt.postgres)],
    ['Redis', list(receipt.redis)],
    ['logs', 'none of requests, for any contestant'],
    ['dead tuples left', list(receipt.dead_tuples)],
  ];
  const processes = Object.entries(receipt.processes).map(([name, { cpuSeconds, memoryMb }]) => [
    name,
    `${cpuSeconds.toFixed(1)} s`,
    `${Math.round(memoryMb)} MB`,
  ]);
  return [
    { title: 'receipt', head: ['', ''], rows: facts },
    { title: 'processes', head: ['', 'CPU', 'memory at most'], rows: processes },
  ];
}

function list(values: Record<string, string | number>): string {
  const parts = Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return parts.join(', ');
}
