import type { WorkerDeps } from '../src/deps.ts';
import type { Handler } from '../src/queue/handler.ts';
import { auditHandler } from './audit.ts';
import { failOrderHandler } from './fail-order.ts';
import { processOrderHandler } from './process-order.ts';
import { pruneHandler } from './prune.ts';
import type { QueueName } from './queues.ts';
import { signHeadHandler } from './sign-head.ts';

/** The handler of each queue. A queue without one does not compile. */
const handlers: { [Q in QueueName]: (deps: WorkerDeps) => Handler<Q, never> } = {
  audit: auditHandler,
  'fail-order': failOrderHandler,
  'process-order': processOrderHandler,
  prune: pruneHandler,
  'sign-head': signHeadHandler,
};

/** Creates the handler of a queue for one worker. */
export function createHandler(deps: WorkerDeps, queue: QueueName): Handler<never, never> {
  return handlers[queue]({ ...deps, log: deps.log.child({ queue }) });
}
