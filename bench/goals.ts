import { service } from './contestants.ts';
import { API_CPU, ORDER_COST, POSTGRES_CPU } from './order-cost.ts';
import { bullmq } from './peers/bullmq.ts';
import { DIRECT_SQL } from './peers/direct-sql.ts';
import { graphile } from './peers/graphile.ts';
import type { FigureName, Results } from './results.ts';
import { processesAt, withProcesses } from './scenarios/api-processes.ts';
import {
  CREATE_WITH_BACKLOG,
  DRAIN_WITH_BACKLOG,
  EMPTY_QUEUE,
  LONG_QUEUE,
} from './scenarios/backlog.ts';
import { createAt, WITH_KEY } from './scenarios/create.ts';
import { DRAIN } from './scenarios/drain.ts';
import { IDLE, UNDER_LOAD } from './scenarios/latency.ts';
import { LIST, userWith } from './scenarios/list.ts';
import { MEMORY } from './scenarios/memory.ts';
import { CREATE_PINNED, DRAIN_PINNED, NOT_PINNED, PINNED } from './scenarios/pinned.ts';
import { WORKER_KILLED } from './scenarios/worker-killed.ts';
import { WITH_STEP, withWorkers } from './scenarios/workers.ts';

/** What was measured of a goal: the figure, NaN when the run did not measure it, and that of each round. */
export type Reached = { figure: number; rounds: number[] };

/** What is to be reached. */
export type Goal = {
  name: string;
  reached: (results: Results) => Reached;
  bound: number;
  /** Whether the figure is to be at least the bound, or at most. */
  direction: 'at least' | 'at most';
  unit: '×' | 'µs' | 'ms' | 's' | 'MB';
};

type Measure = Goal['reached'];

const at1 = createAt(1);
const at64 = createAt(64);
const at256 = createAt(256);

const atLeast = (bound: number, name: string, reached: Measure): Goal => ({
  name,
  reached,
  bound,
  direction: 'at least',
  unit: '×',
});

const atMost = (bound: number, unit: Goal['unit'], name: string, reached: Measure): Goal => ({
  name,
  reached,
  bound,
  direction: 'at most',
  unit,
});

/** One figure over another; of the rounds, each over the other's in the same round. */
function ratio(one: FigureName, other: FigureName): Measure {
  return (results) => {
    const others = results.samples(...other);
    const rounds = results
      .samples(...one)
      .map((sample, round) => sample / (others[round] ?? Number.NaN))
      .filter(Number.isFinite); // a scenario that failed may have left half of a round
    return { figure: results.median(...one) / results.median(...other), rounds };
  };
}

/** Throughput of one over another's in the same scenario. */
function throughput(scenario: string, over: string, of = service.name): Measure {
  return ratio([scenario, of, 'throughput'], [scenario, over, 'throughput']);
}

function own(scenario: string, measure: string, of = service.name): Measure {
  return (results) => ({
    figure: results.median(scenario, of, measure),
    rounds: results.samples(scenario, of, measure),
  });
}

/** The most of all rounds, for a bound that every round must keep. */
function worst(scenario: string, measure: string): Measure {
  return (results) => {
    const rounds = results.samples(scenario, service.name, measure);
    return { figure: rounds.length > 0 ? Math.max(...rounds) : Number.NaN, rounds };
  };
}

/** Throughput of two API processes over that of one. */
function secondProcess(connections: number): Measure {
  return throughput(processesAt(connections), withProcesses(1), withProcesses(2));
}

/** Over the peer with the better median, in every round. */
function drainOverBest(results: Results): Reached {
  const overBullmq = throughput(DRAIN, bullmq.name)(results);
  const overGraphile = throughput(DRAIN, graphile.name)(results);
  return overBullmq.figure < overGraphile.figure ? overBullmq : overGraphile;
}

const taken = `${bullmq.name} (not transactional)`;

/** The goals of the bench, in the order in which they are printed. */
export const goals: Goal[] = [
  atLeast(0.75, `create, 1 connection, vs ${taken}`, throughput(at1, bullmq.name)),
  atLeast(1.2, `create, 16 connections, vs ${taken}`, throughput(createAt(16), bullmq.name)),
  atLeast(1.8, `create, 64 connections, vs ${taken}`, throughput(at64, bullmq.name)),
  atMost(
    0.8,
    '×',
    `create, 64 connections, p99 vs ${taken}`,
    ratio([at64, service.name, 'p99'], [at64, bullmq.name, 'p99']),
  ),
  atLeast(2.4, `create, 256 connections, vs ${taken}`, throughput(at256, bullmq.name)),
  atLeast(
    1.2,
    `create with an Idempotency-Key, 64 connections, vs ${bullmq.name} without one`,
    throughput(at64, bullmq.name, WITH_KEY),
  ),
  atLeast(
    1.8,
    `create with an Idempotency-Key, 256 connections, vs ${bullmq.name} without one`,
    throughput(at256, bullmq.name, WITH_KEY),
  ),
  atLeast(
    6,
    `create, 64 connections, vs ${graphile.name} (transactional)`,
    throughput(at64, graphile.name),
  ),
  atMost(95, 'µs', 'create, 64 connections, CPU of the API per order', own(ORDER_COST, API_CPU)),
  atMost(80, 'µs', 'the same, CPU of Postgres', own(ORDER_COST, POSTGRES_CPU)),
  atMost(
    1.3,
    '×',
    'create, 1 connection, p50 vs direct SQL in one transaction, from Node',
    ratio([at1, service.name, 'p50'], [at1, DIRECT_SQL, 'p50']),
  ),
  atLeast(1, 'create, 64 connections, two API processes vs one', secondProcess(64)),
  atLeast(1.2, 'create, 256 connections, two API processes vs one', secondProcess(256)),
  atLeast(2.8, `drain vs the better of ${graphile.name} and ${bullmq.name}`, drainOverBest),
  atMost(8, 'ms', 'POST → COMPLETED, idle, p50', own(IDLE, 'p50')),
  atMost(40, 'ms', 'POST → COMPLETED, 500 orders/s offered, p99', own(UNDER_LOAD, 'p99')),
  atMost(
    3,
    's',
    'longest open around the kill of a worker, no external step, the most of all rounds',
    worst(WORKER_KILLED, 'longest'),
  ),
  atMost(
    1.3,
    '×',
    'list page, 1,000,000 orders vs 10 orders of that user, p50',
    ratio([LIST, userWith(1_000_000), 'p50'], [LIST, userWith(10), 'p50']),
  ),
  atLeast(
    0.8,
    'create with 1,000,000 orders queued vs none',
    throughput(CREATE_WITH_BACKLOG, EMPTY_QUEUE, LONG_QUEUE),
  ),
  atLeast(
    0.85,
    'drain with 1,000,000 orders queued vs none besides',
    throughput(DRAIN_WITH_BACKLOG, EMPTY_QUEUE, LONG_QUEUE),
  ),
  atLeast(
    0.7,
    'create with xmin pinned for 3 minutes vs not',
    throughput(CREATE_PINNED, NOT_PINNED, PINNED),
  ),
  atLeast(
    0.7,
    'drain with xmin pinned for 3 minutes vs not',
    throughput(DRAIN_PINNED, NOT_PINNED, PINNED),
  ),
  atLeast(
    3.5,
    '4 workers vs 1, with a fulfilment step of 20 ms, one call at a time each',
    own(WITH_STEP, 'of one worker', withWorkers(4)),
  ),
  atMost(250, 'MB', 'memory of the API, 256 connections for 60 s', own(MEMORY, 'peak')),
  atMost(10, 'MB', 'the same, rise in the second half', own(MEMORY, 'rise in the second half')),
];

/** Whether a figure reaches a goal. */
export function isMet({ bound, direction }: Goal, figure: number): boolean {
  return direction === 'at least' ? figure >= bound : figure <= bound;
}
