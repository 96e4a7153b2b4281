import type { Scenario } from '../scenario.ts';
import { apiProcesses } from './api-processes.ts';
import { backlog } from './backlog.ts';
import { createOrders } from './create.ts';
import { drain } from './drain.ts';
import { latency } from './latency.ts';
import { list } from './list.ts';
import { memory } from './memory.ts';
import { pinned } from './pinned.ts';
import { redisDown } from './redis-down.ts';
import { workerKilled } from './worker-killed.ts';
import { workers } from './workers.ts';

/**
 * The scenarios of `npm run bench`, in this order. `redisDown` is the last, because it restarts Redis, which then has
 * lost the queue of BullMQ.
 */
export const scenarios: Scenario[] = [
  createOrders,
  apiProcesses,
  drain,
  workers,
  latency,
  workerKilled,
  list,
  memory,
  backlog,
  pinned,
  redisDown,
];
