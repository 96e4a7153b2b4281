/* The short answer of bench/README.md: is the service faster than its peers, where, and by how much? */
import { service } from './contestants.ts';
import { goals, isMet } from './goals.ts';
import { throughput } from './measures.ts';
import { bullmq } from './peers/bullmq.ts';
import { graphile } from './peers/graphile.ts';
import { rounded, runFacts, withRange, type Run } from './report.ts';
import { Results } from './results.ts';
import { createAt, WITH_KEY } from './scenarios/create.ts';
import { DRAIN } from './scenarios/drain.ts';
import { asMarkdown, type Table } from './table.ts';

const peers = [bullmq.name, graphile.name];

/** The compared loads: name, scenario, and the contestant that stands for the service. */
const loads = [
  ...[1, 16, 64, 256].map((connections) => ({
    load: createAt(connections),
    scenario: createAt(connections),
    of: service.name,
  })),
  ...[64, 256].map((connections) => ({
    load: `the same with an Idempotency-Key, ${connections} connections`,
    scenario: createAt(connections),
    of: WITH_KEY,
  })),
  { load: DRAIN, scenario: DRAIN, of: service.name },
];
type Load = (typeof loads)[number];

/** The table of ratios, and how many goals are met, in Markdown. */
export function answerMarkdown(run: Run): string {
  const results = new Results(run.figures);
  const met = goals.filter((goal) => isMet(goal, goal.reached(results).figure));
  const count = `${met.length} of ${goals.length} goals are met; the table of goals below lists all.`;
  return [asMarkdown(answerTable(results)), `${count} ${runFacts(run.receipt)}`].join('\n');
}

/** One row for each load: orders per second, the ratio to each peer, and the goals. */
export function answerTable(results: Results): Table {
  const rows = loads.map((each) => {
    const perSecond = results.median(each.scenario, each.of, 'throughput');
    const ratios = peers.map((peer) => ratioTo(peer, each, results));
    return [each.load, `${rounded(perSecond)} /s`].concat(ratios, goalsOf(each, results));
  });
  const head = ['load', 'this service', ...peers.map((peer) => `times ${peer}`), 'goal'];
  return { title: '', head, rows };
}

/** The ratio with its range over the rounds. It counts as faster or slower when every round agrees. */
function ratioTo(peer: string, { scenario, of }: Load, results: Results): string {
  const { figure, rounds } = throughput(scenario, peer, of)(results);
  if (rounds.length === 0) return '';
  const [least, most] = [Math.min(...rounds), Math.max(...rounds)];
  const word = least > 1 ? 'faster' : most < 1 ? 'slower' : 'not clear';
  return `${withRange(figure, '×', rounds)}, ${word}`;
}

/** The goals of a load that were measured, and whether they are met. */
function goalsOf({ scenario, of }: Load, results: Results): string {
  const cells = goals.flatMap((goal) => {
    const { compared, bound, reached } = goal;
    const { figure } = reached(results);
    if (compared?.scenario !== scenario || compared.of !== of || Number.isNaN(figure)) return [];
    return `≥ ${bound} × ${compared.over}: ${isMet(goal, figure) ? 'met' : 'missed'}`;
  });
  return cells.join('; ');
}
