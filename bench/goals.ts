import { service } from './contestants.ts';
import { own, ratio, smaller, throughput, worst, type Measure } from './measures.ts';
import { API_CPU, ORDER_COST, POSTGRES_CPU } from './order-cost.ts';
import { bullmq } from './peers/bullmq.ts';
import { DIRECT_SQL } from './peers/direct-sql.ts';
import { graphile } from './peers/graphile.ts';
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

/** One goal of the bench. */
type Goal = {
  name: string;
  reached: Measure;
  bound: number;
  /** Whether the figure must be at least the bound, or at most. */
  direction: 'at least' | 'at most';
  unit: '×' | 'µs' | 'ms' | 's' | 'MB';
  /** Set when the goal compares the throughput of two contestants in one scenario. */
  compared?: Comparison;
};

/** Compares the throughput of contestant `of` with that of contestant `over`. */
type Comparison = { scenario: string; of: string; over: string };

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

/** Throughput of at least `bound` times that of another contestant. */
const faster = (
  bound: number,
  name: string,
  scenario: string,
  over: string,
  of = service.name,
): Goal => ({
  ...atLeast(bound, name, throughput(scenario, over, of)),
  compared: { scenario, of, over },
});

/** Throughput of two API processes over that of one. */
function secondProcess(connections: number): Measure {
  return throughput(processesAt(connections), withProcesses(1), withProcesses(2));
}

const bullmqLabel = `${bullmq.name} (not transactional)`;

/** The goals of the bench, in the order in which they are printed. */
export const goals: Goal[] = [
  faster(0.75, `create, 1 connection, vs ${bullmqLabel}`, at1, bullmq.name),
  faster(1.2, `create, 16 connections, vs ${bullmqLabel}`, createAt(16), bullmq.name),
  faster(1.8, `create, 64 connections, vs ${bullmqLabel}`, at64, bullmq.name),
  atMost(
    0.8,
    '×',
    `create, 64 connections, p99 vs ${bullmqLabel}`,
    ratio([at64, service.name, 'p99'], [at64, bullmq.name, 'p99']),
  ),
  faster(2.4, `create, 256 connections, vs ${bullmqLabel}`, at256, bullmq.name),
  faster(
    1.2,
    `create with an Idempotency-Key, 64 connections, vs ${bullmq.name} without one`,
    at64,
    bullmq.name,
    WITH_KEY,
  ),
  faster(
    1.8,
    `create with an Idempotency-Key, 256 connections, vs ${bullmq.name} without one`,
    at256,
    bullmq.name,
    WITH_KEY,
  ),
  faster(6, `create, 64 connections, vs ${graphile.name} (transactional)`, at64, graphile.name),
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
  atLeast(
    2.8,
    `drain vs the faster of ${graphile.name} and ${bullmq.name}`,
    smaller(throughput(DRAIN, bullmq.name), throughput(DRAIN, graphile.name)),
  ),
  atMost(8, 'ms', 'POST → COMPLETED, idle, p50', own(IDLE, 'p50')),
  atMost(40, 'ms', 'POST → COMPLETED, 500 orders/s offered, p99', own(UNDER_LOAD, 'p99')),
  atMost(
    3,
    's',
    'longest open around the kill of a worker, no external step, the longest of all rounds',
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
    'drain with 1,000,000 more orders queued vs none',
    throughput(DRAIN_WITH_BACKLOG, EMPTY_QUEUE, LONG_QUEUE),
  ),
  atLeast(
    0.7,
    'create beside a transaction that stays open for 3 minutes vs none',
    throughput(CREATE_PINNED, NOT_PINNED, PINNED),
  ),
  atLeast(
    0.7,
    'drain beside a transaction that stays open for 3 minutes vs none',
    throughput(DRAIN_PINNED, NOT_PINNED, PINNED),
  ),
  atLeast(
    3.5,
    '4 workers vs 1, with an external step of 20 ms, one call at a time each',
    own(WITH_STEP, 'of one worker', withWorkers(4)),
  ),
  atMost(250, 'MB', 'memory of the API, 256 connections for 60 s', own(MEMORY, 'peak')),
  atMost(10, 'MB', 'the same, rise in the second half', own(MEMORY, 'rise in the second half')),
];

/** Whether a figure meets a goal. */
export function isMet({ bound, direction }: Goal, figure: number): boolean {
  return direction === 'at least' ? figure >= bound : figure <= bound;
}
