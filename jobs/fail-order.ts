import { failExhaustedOrders, type ExhaustedJob } from '../src/orders/processing.ts';
import type { Handler } from './handler.ts';

/** The dead-letter queue of process-order: an order whose retries are used up becomes FAILED. */
export const failOrderHandler: Handler<'fail-order', ExhaustedJob> = {
  options: () => ({ batchSize: 20, includeMetadata: true }), // what the last try said
  work: failExhaustedOrders,
};
