import { failExhaustedOrders } from '../src/orders/processing.ts';
import type { Handler } from './handler.ts';

/** The dead-letter queue of process-order: an order whose retries are used up becomes FAILED. */
export const failOrderHandler: Handler<'fail-order'> = {
  options: () => ({ batchSize: 20 }),
  work: failExhaustedOrders,
};
