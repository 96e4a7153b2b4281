import type { WorkerDeps } from '../src/deps.ts';
import { pruneIdempotencyKeys } from '../src/orders/idempotency.ts';
import { prepareQueueStats } from '../src/queue/boss.ts';
import type { Handler } from '../src/queue/handler.ts';
import { pruneAttempts } from '../src/users/attempts.ts';
import { pruneRefreshTokens } from '../src/users/sessions.ts';

/** Every night, deletes expired rows and makes the partitions that the queue statistics need for the next days. */
export function pruneHandler(deps: WorkerDeps): Handler<'prune'> {
  return {
    options: {},
    async work(jobs) {
      const refresh_tokens = await pruneRefreshTokens(deps);
      const attempt_counts = await pruneAttempts(deps);
      const idempotency_keys = await pruneIdempotencyKeys(deps);
      await prepareQueueStats(deps);
      const output = { refresh_tokens, attempt_counts, idempotency_keys };
      deps.log.info(output, 'expired rows pruned');
      return jobs.map(({ id }) => ({ id, status: 'completed', output }));
    },
  };
}
