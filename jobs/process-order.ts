import type { WorkerDeps } from '../src/deps.ts';
import { createFulfilment } from '../src/orders/fulfilment.ts';
import { completeOrders } from '../src/orders/processing.ts';
import type { Handler } from '../src/queue/handler.ts';

/** More pollers than this do not help a process: other limits are reached first. */
const POLLERS_MAX = 50;

/**
 * Takes orders from PENDING through PROCESSING to COMPLETED, with the external step when there is one. Without it, this
 * handler gets only the jobs that cannot be processed without a claim (src/orders/process-loop.ts).
 */
export function processOrderHandler(deps: WorkerDeps): Handler<'process-order'> {
  const { FULFILMENT_URL, FULFILMENT_CONCURRENCY, WORKER_BATCH_SIZE } = deps.config;
  if (!FULFILMENT_URL) {
    return {
      options: { batchSize: WORKER_BATCH_SIZE },
      work: (jobs) => completeOrders(deps, jobs),
    };
  }
  return {
    options: {
      batchSize: FULFILMENT_CONCURRENCY,
      pollersMax: Math.min(FULFILMENT_CONCURRENCY, POLLERS_MAX), // one is free whenever a call can start, up to 50
      inProgressMax: FULFILMENT_CONCURRENCY,
    },
    work: createFulfilment(deps),
  };
}
