import { goals, isMet } from './goals.ts';
import type { Receipt } from './receipt.ts';
import { median, Results, type Figure } from './results.ts';
import { asMarkdown, asText, type Table } from './table.ts';

/** Everything about a run, as --json writes it. */
export type Run = { receipt: Receipt; figures: Figure[] };

const RATIO = 'Ratio: the figure of the first line divided by the figure of this line.';
const QUICK =
  'A quick run: one round, short measurements, and smaller sizes than the names say. ' +
  'It shows that the bench works. Its figures have no meaning.';

/** The figures of every scenario, the goals, and the receipt (the circumstances of the run), as text. */
export function report(run: Run): string {
  return `\n${[...tablesOf(run).map(asText), ...notesOn(run)].join('\n')}\n`;
}

/** The same in Markdown. */
export function reportMarkdown(run: Run): string {
  return [...notesOn(run), '', ...tablesOf(run).map(asMarkdown)].join('\n');
}

/** The goals of a full run, and the machine that measured them. */
export function goalsMarkdown(run: Run): string {
  const table = asMarkdown({ ...goalTable(run.figures), title: '' });
  return [table, runFacts(run.receipt)].join('\n');
}

/** The date, the machine and the versions of a run in one line. */
export function runFacts({ began, cpu, node, postgres, rounds }: Receipt): string {
  return `${began.slice(0, 10)}, ${cpu}, Node ${node}, Postgres ${postgres.server_version}, ${rounds} rounds.`;
}

function notesOn({ receipt }: Run): string[] {
  return receipt.quick ? [RATIO, QUICK] : [RATIO];
}

function tablesOf({ figures, receipt }: Run): Table[] {
  const judged = receipt.quick ? [] : [goalTable(figures)]; // the goals are about the sizes of a full run
  const all = [...scenarioTables(figures), ...judged, ...receiptTables(receipt)];
  return all.filter(({ rows }) => rows.length > 0);
}

/** One table for each scenario, with one line for each contestant, in the order of their first samples. */
export function scenarioTables(figures: Figure[]): Table[] {
  const scenarios = [...new Set(figures.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => {
    const own = figures.filter((figure) => figure.scenario === scenario);
    const contestants = [...new Set(own.map(({ contestant }) => contestant))];
    const measures = [...new Set(own.map(({ measure }) => measure))];
    const [first = ''] = contestants;
    const [measured = '', ...others] = measures;
    const isCompared = contestants.length > 1;
    const rows = contestants.map((contestant) => {
      const of = (measure: string, name = contestant) =>
        own.find((figure) => figure.contestant === name && figure.measure === measure);
      const figure = of(measured);
      const ratio = isCompared ? [ratioOf(figure, of(measured, first))] : [];
      return [contestant, spread(figure), ...ratio].concat(others.map((name) => spread(of(name))));
    });
    return {
      title: scenario,
      head: ['', measured, ...(isCompared ? ['ratio'] : []), ...others],
      rows,
    };
  });
}

/** The median, with the smallest and the largest figure of the rounds. */
function spread(figure: Figure | undefined): string {
  if (!figure) return '';
  return withRange(median(figure.samples), figure.unit, figure.samples);
}

/** A figure, with the smallest and the largest figure of the rounds. */
export function withRange(figure: number, unit: string, rounds: number[]): string {
  const middle = `${rounded(figure)}${unit && ` ${unit}`}`;
  if (rounds.length === 1) return middle;
  return `${middle} (${rounded(Math.min(...rounds))}–${rounded(Math.max(...rounds))})`;
}

function ratioOf(figure: Figure | undefined, first: Figure | undefined): string {
  if (!figure || !first || figure === first) return '';
  const ratio = median(first.samples) / median(figure.samples);
  return Number.isFinite(ratio) ? `${ratio.toFixed(2)} ×` : '';
}

/** Rounded: from 100 on to an integer, from 10 on to one decimal, below to two. */
export function rounded(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** Each goal that was measured: its figure, the range over the rounds, the bound, and whether it is met. */
export function goalTable(figures: Figure[]): Table {
  const results = new Results(figures);
  const rows = goals.flatMap((goal) => {
    const { figure, rounds } = goal.reached(results);
    if (Number.isNaN(figure)) return [];
    const sign = goal.direction === 'at least' ? '≥' : '≤';
    const measured = withRange(figure, goal.unit, rounds);
    const verdict = isMet(goal, figure) ? 'met' : 'missed';
    return [[goal.name, measured, `${sign} ${goal.bound} ${goal.unit}`, verdict]];
  });
  return { title: 'goals', head: ['', 'figure', 'goal', ''], rows };
}

function receiptTables(receipt: Receipt): Table[] {
  const facts = [
    ['started', receipt.began],
    ['took', `${Math.round(receipt.seconds)} s, ${receipt.rounds} rounds`],
    ['CPU', receipt.cpu],
    ['memory', `${receipt.memory_gib} GiB`],
    ['file system', receipt.filesystem],
    ['Node', receipt.node],
    ['packages', list(receipt.packages)],
    ['Postgres', list(receipt.postgres)],
    ['Redis', list(receipt.redis)],
    ['request logs', 'none, for any contestant'],
    ['rate limits', 'none, for any contestant'],
    ['dead tuples left', list(receipt.dead_tuples)],
  ];
  const processes = Object.entries(receipt.processes).map(([name, { cpuSeconds, memoryMb }]) => [
    name,
    `${cpuSeconds.toFixed(1)} s`,
    `${Math.round(memoryMb)} MB`,
  ]);
  return [
    { title: 'receipt', head: ['', ''], rows: facts },
    { title: 'processes', head: ['', 'CPU', 'peak memory'], rows: processes },
  ];
}

function list(values: Record<string, string | number>): string {
  const parts = Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return parts.join(', ');
}
