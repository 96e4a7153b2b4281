/*
 * Processes queue process-order without claims, when there is no external step. Each call of process_orders takes a
 * batch of due jobs, completes the orders and settles the jobs, in one statement. No job is left active, so there is
 * nothing to rescue when a worker is killed.
 *
 * While calls return less than a full batch, one call runs at a time. After each full batch, one more call runs at the
 * same time, up to `concurrency`. pg-boss claims the jobs that process_orders cannot process (`fallBack`): a batch in
 * which one order cannot be completed, and a job that stays due because its order is missing or locked for long.
 *
 * A search of all jobs is slow while another transaction stays open (process_orders.sql says why). After a slow search,
 * the next searches begin where the last found jobs were created. So slow searches use at most a tenth of the time.
 */
import { isRowError } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { restAfter } from '../rest.ts';
import { processOrders } from './processing.ts';

/** When a search of all jobs finds none, although one has been due for this long, a batch is claimed. */
const PASSED_OVER_MS = 5_000;

/**
 * An order is usually committed within this time after its job was created. So a search that begins this much earlier
 * misses few jobs.
 */
const PLACING_MS = 1_000;

type LoopDeps = Pick<Deps, 'pool' | 'log' | 'metrics'>;

type LoopOptions = {
  batchSize: number;
  concurrency: number;
  /** Called after each batch that was not empty. */
  onWork: () => void;
  /** Claims a batch from pg-boss and processes it. At the end of the batch, `wake` must be called. */
  fallBack: () => void;
};

/** The loop that processes process-order in one worker. */
type ProcessLoop = {
  /** There may be due jobs. `dueMs`: how long the oldest job has been due, if that is known. */
  wake(dueMs?: number): void;
  /** Begins no further batch, and resolves when the running ones have ended. */
  close(): Promise<void>;
};

/** Creates the loop. It starts at the first `wake`. */
export function createProcessLoop(
  deps: LoopDeps,
  { batchSize, concurrency, onWork, fallBack }: LoopOptions,
): ProcessLoop {
  const running = new Set<Promise<void>>();
  let more = false;
  let foundNothing = false;
  let closed = false;
  const processBatch = createBatchProcessor(deps, batchSize);

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
 * Creates a function that processes one batch. The function returns how many orders it has processed, and whether it
 * has searched all jobs.
 */
function createBatchProcessor(deps: LoopDeps, batchSize: number) {
  let createdFrom: string | undefined; // where searches begin until `restUntil`
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
      restUntil = ended + restAfter(ended - started);
    }
    return { processed: order_ids.length, searchedAll: from === undefined };
  };
}
