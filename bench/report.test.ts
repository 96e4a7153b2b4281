import test from 'ava';
import { answerTable } from './answer.ts';
import { chart } from './chart.ts';
import { service } from './contestants.ts';
import { goals, isMet } from './goals.ts';
import { bullmq } from './peers/bullmq.ts';
import { goalTable, scenarioTables } from './report.ts';
import { median, quantile, Results } from './results.ts';
import { createAt } from './scenarios/create.ts';
import { WORKER_KILLED } from './scenarios/worker-killed.ts';
import { asMarkdown, asText } from './table.ts';

function someResults(): Results {
  const results = new Results();
  for (const perSecond of [1000, 3000, 2000]) {
    results.add(createAt(64), service.name, 'throughput', '/s', perSecond);
    results.add(createAt(64), bullmq.name, 'throughput', '/s', perSecond / 2);
  }
  return results;
}

test('the median is the middle sample, or the mean of the two in the middle', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.is(median([]), Number.NaN);
  t.is(quantile([5, 1, 4, 2, 3], 0.99), 5);
});

test('a table shows medians with their ranges, and ratios to the first line', (t) => {
  const [table] = scenarioTables(someResults().figures);

  t.deepEqual(table?.rows, [
    [service.name, '2,000 /s (1,000–3,000)', ''],
    [bullmq.name, '1,000 /s (500–1,500)', '2.00 ×'],
  ]);
});

test('the table of goals has figures, bounds and results, and leaves out goals that were not measured', (t) => {
  const { rows } = goalTable(someResults().figures);

  t.is(rows.length, 1);
  t.deepEqual(rows[0]?.slice(1), ['2.00 × (2.00–2.00)', '≥ 1.8 ×', 'met']);
});

test('the range of a ratio compares each round with the same round of the other contestant', (t) => {
  const results = someResults();
  results.add(createAt(64), service.name, 'throughput', '/s', 2000);
  results.add(createAt(64), bullmq.name, 'throughput', '/s', 1250);

  t.is(goalTable(results.figures).rows[0]?.[1], '1.78 × (1.60–2.00)');
});

test('the goal of a killed worker is judged by its longest round', (t) => {
  const results = new Results();
  for (const seconds of [0.5, 4, 1]) {
    results.add(WORKER_KILLED, service.name, 'longest', 's', seconds);
  }

  t.deepEqual(goalTable(results.figures).rows[0]?.slice(1), [
    '4.00 s (0.50–4.00)',
    '≤ 3 s',
    'missed',
  ]);
});

test('the answer says for each load whether the service is faster, and which goals are met', (t) => {
  const row = answerTable(someResults()).rows.find(([load]) => load === createAt(64));

  t.deepEqual(row, [
    createAt(64),
    '2,000 /s',
    '2.00 × (2.00–2.00), faster',
    '',
    `≥ 1.8 × ${bullmq.name}: met`,
  ]);
});

test('the answer is not clear when the rounds disagree', (t) => {
  const results = someResults();
  results.add(createAt(64), service.name, 'throughput', '/s', 900);
  results.add(createAt(64), bullmq.name, 'throughput', '/s', 1000);
  const row = answerTable(results).rows.find(([load]) => load === createAt(64));

  t.is(row?.[2], '1.50 × (0.90–2.00), not clear');
});

test('a goal is met at its bound, and missed on the wrong side of it', (t) => {
  const [first] = goals;
  if (!first) throw new Error('There are no goals');

  t.true(isMet({ ...first, bound: 2, direction: 'at least' }, 2));
  t.false(isMet({ ...first, bound: 2, direction: 'at least' }, 1.99));
  t.false(isMet({ ...first, bound: 2, direction: 'at most' }, 2.01));
});

test('a table is aligned as text, and its cells are escaped in Markdown', (t) => {
  const table = { title: 'a', head: ['', 'b', 'c'], rows: [['x|y', '10', '2']] };

  t.is(asText(table), 'A\n        b  c\n  x|y  10  2\n');
  t.true(asMarkdown(table).includes('| x\\|y | 10 | 2 |'));
});

test('the chart has one bar for each measured contestant', (t) => {
  const svg = chart(someResults().figures);

  t.is(svg.match(/<rect/g)?.length, 2);
  t.true(svg.includes('prefers-color-scheme: dark'));
});
