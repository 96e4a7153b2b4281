import { failExhaustedOrder } from '../src/orders/processing.ts';
import type { Handler } from './queues.ts';

/** The dead-letter queue of process-order: an order whose retries are used up becomes FAILED. */
export const failOrderHandler: Handler<'fail-order'> = {
  options: () => ({ batchSize: 20 }),
  async work(deps, jobs) {
    for (const job of jobs) await failExhaustedOrder(deps, job);
    return jobs.map(({ id }) => ({ id, status: 'completed' }));
  },
};
