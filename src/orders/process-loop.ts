/*
 * Processes queue process-order without claims, when there is no external step. Each call of process_orders takes a
 * batch of due jobs, completes the orders and settles the jobs, in one statement. No job is left active, so there is
 * nothing to rescue when a worker is killed.
 *
 * One call runs at a time while calls return less than a full batch. After each full batch another call starts beside
 * it, up to `concurrency`. Jobs that process_orders cannot process are claimed instead (`fallBack`): a batch in which
 * one order cannot be completed, and a job that stays due because its order is missing or locked for long.
 *
 * A search of all jobs is slow while another transaction stays open (process_orders.sql says why). After a slow search
 * the next ones begin where the last found jobs were created, so that all slow ones use at most a tenth of the time.
 */
import { isRowError } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { REST_FACTOR } from '../queue/watcher.ts';
import { processOrders } from './processing.ts';

/** When calls find no job although one has been due for this long, they are skipping that job. */
const PASSED_OVER_MS = 5_000;

/** Placing takes less than this as a rule, so jobs that are committed later are rarely created this much earlier. */
const PLACING_MS = 1_000;

type LoopDeps = Pick<Deps, 'pool' | 'log' | 'metrics'>;

type Options = {
  batchSize: number;
  concurrency: number;
  /** Called around each batch that was not empty. */
  onWork: () => void;
  /** Claims a batch from pg-boss and processes it. The caller calls `wake` when that is done. */
  fallBack: () => void;
};

/** The loop that processes process-order in one worker. */
export type ProcessLoop = {
  /** There may be due jobs. `dueMs`: how long the oldest job has been due, if that is known. */
  wake(dueMs?: number): void;
  /** Begins no further batch, and resolves when the running ones have ended. */
  close(): Promise<void>;
};

/** Creates the loop. It starts at the first `wake`. */
export function createProcessLoop(
  deps: LoopDeps,
  { batchSize, concurrency, onWork, fallBack }: Options,
): ProcessLoop {
  const running = new Set<Promise<void>>();
  let more = false;
  let foundNothing = false;
  let closed = false;
  const processBatch = createBatches(deps, batchSize);

  function start(): void {
    const run = keepProcessing().finally(() => running.delete(run));
    running.add(run);
  }

  async function keepProcessing(): Promise<void> {
    // oxlint-disable-next-line no-unmodified-loop-condition -- close() sets it
    while (more && !closed) {
      more = false;
      try {
        const { processed, searchedAll } = await processBatch();
        foundNothing = searchedAll && processed === 0;
        if (processed > 0) onWork();
        if (processed < batchSize) continue;
        more = true;
        if (running.size < concurrency) start();
      } catch (err) {
        if (!isRowError(err)) {
          deps.log.error({ err }, 'orders not processed');
          return; // the next wake tries again
        }
        deps.log.warn({ err }, 'an order cannot be completed: claiming its batch instead');
        fallBack();
        return;
      }
    }
  }

  return {
    wake(dueMs = 0) {
      if (closed) return;
      if (foundNothing && dueMs > PASSED_OVER_MS) {
        foundNothing = false;
        fallBack();
      }
      more = true;
      if (running.size === 0) start();
    },
    async close() {
      closed = true;
      await Promise.all(running);
    },
  };
}

/**
 * Returns a function that processes a batch, and says how many orders it has processed and whether it has searched all
 * jobs for them.
 */
function createBatches(deps: LoopDeps, batchSize: number) {
  let createdFrom: string | undefined; // where the next search begins while full ones rest
  let restUntil = 0;

  return async () => {
    const started = performance.now();
    const from = started < restUntil ? createdFrom : undefined;
    const endTimer = deps.metrics.jobs.startTimer({ queue: 'process-order' });
    const { order_ids, created_until } = await processOrders(deps, batchSize, from);
    if (order_ids.length > 0) endTimer({ outcome: 'handled' });
    if (created_until) createdFrom = new Date(Date.parse(created_until) - PLACING_MS).toISOString();
    if (from === undefined) {
      const ended = performance.now();
      restUntil = ended + (ended - started) * REST_FACTOR;
    }
    return { processed: order_ids.length, searchedAll: from === undefined };
  };
}
