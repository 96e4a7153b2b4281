import { auditHandler } from './audit.ts';
import { failOrderHandler } from './fail-order.ts';
import type { Handler } from './handler.ts';
import { processOrderHandler } from './process-order.ts';
import { pruneHandler } from './prune.ts';
import type { QueueName } from './queues.ts';
import { signHeadHandler } from './sign-head.ts';

/** A queue without a handler does not compile. */
export const handlers: { [Q in QueueName]: Handler<Q, never> } = {
  audit: auditHandler,
  'fail-order': failOrderHandler,
  'process-order': processOrderHandler,
  prune: pruneHandler,
  'sign-head': signHeadHandler,
};
