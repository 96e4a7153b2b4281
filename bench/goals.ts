import { bullmq } from './peers/bullmq.ts';
import { DIRECT_SQL } from './peers/direct-sql.ts';
import { graphile } from './peers/graphile.ts';
import { httpCeiling, service } from './contestants.ts';
import type { FigureName, Results } from './results.ts';
import { createAt, WITH_KEY } from './scenarios/create.ts';

/** What is to be reached. The figure is NaN when the run did not measure it. */
export type Goal = {
  name: string;
  figure: (results: Results) => number;
  bound: number;
  /** Whether the figure is to be at least the bound, or at most. */
  direction: 'at least' | 'at most';
  unit: '×' | 'ms' | 'MB';
};

const at64 = createAt(64);
const at256 = createAt(256);

/** One figure over another. */
function ratio(one: FigureName, other: FigureName): Goal['figure'] {
  return (results) => results.median(...one) / results.median(...other);
}

/** Throughput of the service over another's in the same scenario. */
function throughput(scenario: string, over: string, of = service.name): Goal['figure'] {
  return ratio([scenario, of, 'throughput'], [scenario, over, 'throughput']);
}

/** The goals of the bench, in the order in which they are printed. */
export const goals: Goal[] = [
  {
    name: `create, 64 connections, vs ${bullmq.name} (not transactional)`,
    figure: throughput(at64, bullmq.name),
    bound: 1.2,
    direction: 'at least',
    unit: '×',
  },
  {
    name: `create, 256 connections, vs ${bullmq.name} (not transactional)`,
    figure: throughput(at256, bullmq.name),
    bound: 1.5,
    direction: 'at least',
    unit: '×',
  },
  {
    name: `create, 64 connections, vs ${graphile.name} (transactional)`,
    figure: throughput(at64, graphile.name),
    bound: 3.5,
    direction: 'at least',
    unit: '×',
  },
  {
    name: 'create with an Idempotency-Key, 64 connections, vs without',
    figure: throughput(at64, service.name, WITH_KEY),
    bound: 0.8,
    direction: 'at least',
    unit: '×',
  },
  {
    name: 'create, 256 connections, vs its own HTTP without a database',
    figure: throughput(at256, httpCeiling.name),
    bound: 0.85,
    direction: 'at least',
    unit: '×',
  },
  {
    name: 'create, 1 connection, p50 vs direct SQL in one transaction',
    figure: ratio([createAt(1), service.name, 'p50'], [createAt(1), DIRECT_SQL, 'p50']),
    bound: 2.5,
    direction: 'at most',
    unit: '×',
  },
  {
    name: `create, 64 connections, p99 vs ${bullmq.name}`,
    figure: ratio([at64, service.name, 'p99'], [at64, bullmq.name, 'p99']),
    bound: 1,
    direction: 'at most',
    unit: '×',
  },
];

/** Whether a figure reaches a goal. */
export function isMet({ bound, direction }: Goal, figure: number): boolean {
  return direction === 'at least' ? figure >= bound : figure <= bound;
}
