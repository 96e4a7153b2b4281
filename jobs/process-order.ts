import { fulfilOrders, roomForOrders } from '../src/orders/fulfilment.ts';
import { completeOrders } from '../src/orders/processing.ts';
import type { Handler } from './handler.ts';

/** No process needs more: by then it is bound by something else. */
const LANES_MAX = 50;

/**
 * PENDING → PROCESSING → COMPLETED, by way of the external step when there is one. Without one, only what cannot be
 * processed without a claim comes here (src/orders/process-loop.ts).
 */
export const processOrderHandler: Handler<'process-order'> = {
  options: ({ FULFILMENT_URL, FULFILMENT_CONCURRENCY, WORKER_BATCH_SIZE }) =>
    FULFILMENT_URL
      ? // As many lanes as calls: then a lane is free whenever a call can be made, slow as others may be.
        {
          batchSize: FULFILMENT_CONCURRENCY,
          localConcurrency: Math.min(FULFILMENT_CONCURRENCY, LANES_MAX),
        }
      : { batchSize: WORKER_BATCH_SIZE, localConcurrency: 1 },
  work(deps, jobs) {
    return deps.config.FULFILMENT_URL ? fulfilOrders(deps, jobs) : completeOrders(deps, jobs);
  },
  room(deps, onRoom) {
    return deps.config.FULFILMENT_URL ? roomForOrders(deps, onRoom) : () => true;
  },
};
