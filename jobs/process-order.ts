import { fulfilOrders } from '../src/orders/fulfilment.ts';
import { processOrders } from '../src/orders/processing.ts';
import type { Handler } from './handler.ts';

/** PENDING → PROCESSING → COMPLETED, by way of the external step when there is one. */
export const processOrderHandler: Handler<'process-order'> = {
  options: (config) => ({
    batchSize: config.FULFILMENT_URL ? config.FULFILMENT_CONCURRENCY : config.WORKER_BATCH_SIZE,
    localConcurrency: config.WORKER_CONCURRENCY,
  }),
  work(deps, jobs) {
    return deps.config.FULFILMENT_URL ? fulfilOrders(deps, jobs) : processOrders(deps, jobs);
  },
};
