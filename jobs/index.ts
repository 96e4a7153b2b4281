import type { WorkerDeps } from '../src/deps.ts';
import type { Handler } from '../src/queue/handler.ts';
import { auditHandler } from './audit.ts';
import { failOrderHandler } from './fail-order.ts';
import { processOrderHandler } from './process-order.ts';
import { pruneHandler } from './prune.ts';
import type { QueueName } from './queues.ts';
import { signHeadHandler } from './sign-head.ts';

/** Creates the handlers of a worker, once: a handler keeps the limits of the whole process, also during a pause. */
export function createHandlers(deps: WorkerDeps): Handlers {
  const inQueue = (queue: QueueName) => ({ ...deps, log: deps.log.child({ queue }) });
  return {
    audit: auditHandler(inQueue('audit')),
    'fail-order': failOrderHandler(inQueue('fail-order')),
    'process-order': processOrderHandler(inQueue('process-order')),
    prune: pruneHandler(inQueue('prune')),
    'sign-head': signHeadHandler(inQueue('sign-head')),
  };
}

/** The handler of each queue. The compiler reports a queue that has no handler. */
type Handlers = { [Q in QueueName]: Handler<Q, never> };
