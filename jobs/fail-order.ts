import type { WorkerDeps } from '../src/deps.ts';
import { failExhaustedOrders, type ExhaustedJob } from '../src/orders/processing.ts';
import type { Handler } from '../src/queue/handler.ts';

/** Processes the dead letters of process-order: sets their orders FAILED. */
export function failOrderHandler(deps: WorkerDeps): Handler<'fail-order', ExhaustedJob> {
  return {
    options: { batchSize: 20, includeMetadata: true }, // the metadata includes the error of the last attempt
    work: (jobs) => failExhaustedOrders(deps, jobs),
  };
}
