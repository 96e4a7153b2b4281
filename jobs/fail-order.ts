import type { WorkerDeps } from '../src/deps.ts';
import { failExhaustedOrders, type ExhaustedJob } from '../src/orders/processing.ts';
import type { Handler } from '../src/queue/handler.ts';

/** The dead-letter queue of process-order: sets orders FAILED whose retries are used up. */
export function failOrderHandler(deps: WorkerDeps): Handler<'fail-order', ExhaustedJob> {
  return {
    options: { batchSize: 20, includeMetadata: true }, // the metadata includes the error of the last try
    work: (jobs) => failExhaustedOrders(deps, jobs),
  };
}
