/*
 * Works off queue process-order without claims, when there is no external step: each call of process_orders takes a
 * batch that is due, completes it and settles the jobs, in one statement. Nothing is ever left active, so there is
 * nothing to rescue when a worker is killed.
 *
 * One call at a time as long as calls come back with less than a full batch; another one beside it while they come back
 * full, up to `concurrency`. What process_orders cannot do is left to claims (`fallBack`): a batch in which one order
 * cannot be completed, and a job that stays due because its order is gone or locked for long.
 */
import { isRowError } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { processOrders } from './processing.ts';

/** A job that has been due for so long while calls find nothing to do is one that they pass over. */
const PASSED_OVER_MS = 5_000;

type Options = {
  batchSize: number;
  concurrency: number;
  /** Called around each batch that was not empty. */
  onWork: () => void;
  /** Has a batch claimed from pg-boss and worked off. When that is done, `wake`. */
  fallBack: () => void;
};

/** What works off process-order in one worker. */
export type ProcessLoop = {
  /** There may be something to do. `dueMs`: for how long the oldest job has been due, where that is known. */
  wake(dueMs?: number): void;
  /** Begins no further batch, and resolves when those under way have ended. */
  close(): Promise<void>;
};

/** Creates the loop, which begins at the first wake. */
export function createProcessLoop(
  deps: Pick<Deps, 'pool' | 'log' | 'metrics'>,
  { batchSize, concurrency, onWork, fallBack }: Options,
): ProcessLoop {
  const running = new Set<Promise<void>>();
  let more = false;
  let foundNothing = false;
  let closed = false;

  function start(): void {
    const run = keepProcessing().finally(() => running.delete(run));
    running.add(run);
  }

  async function keepProcessing(): Promise<void> {
    // oxlint-disable-next-line no-unmodified-loop-condition -- close() sets it
    while (more && !closed) {
      more = false;
      try {
        const processed = await processBatch(deps, batchSize);
        if (processed > 0) onWork();
        foundNothing = processed === 0;
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

/** Processes a batch, and says of how many orders. */
async function processBatch(
  deps: Pick<Deps, 'pool' | 'log' | 'metrics'>,
  batchSize: number,
): Promise<number> {
  const endTimer = deps.metrics.jobs.startTimer({ queue: 'process-order' });
  const { length } = await processOrders(deps, batchSize);
  if (length > 0) endTimer({ outcome: 'handled' });
  return length;
}
