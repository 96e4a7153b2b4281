import { prepareQueueStats } from '../src/queue/boss.ts';
import { pruneIdempotencyKeys } from '../src/orders/idempotency.ts';
import { pruneRefreshTokens } from '../src/users/sessions.ts';
import type { Handler } from './handler.ts';

/** Nightly: deletes what has expired, and makes the tables that the queue's statistics of the next days go into. */
export const pruneHandler: Handler<'prune'> = {
  options: () => ({}),
  async work(deps, jobs) {
    const refresh_tokens = await pruneRefreshTokens(deps);
    const idempotency_keys = await pruneIdempotencyKeys(deps);
    await prepareQueueStats(deps);
    const output = { refresh_tokens, idempotency_keys };
    deps.log.info(output, 'expired rows pruned');
    return jobs.map(({ id }) => ({ id, status: 'completed', output }));
  },
};
