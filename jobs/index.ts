import type { WorkerDeps } from '../src/deps.ts';
import type { Handler } from '../src/queue/handler.ts';
import { auditHandler } from './audit.ts';
import { failOrderHandler } from './fail-order.ts';
import { processOrderHandler } from './process-order.ts';
import { pruneHandler } from './prune.ts';
import type { QueueName } from './queues.ts';
import { signHeadHandler } from './sign-head.ts';

/** Creates the handlers of a worker. Call it once per process: a handler keeps its limits when its queue is paused. */
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
