import { pruneIdempotencyKeys } from '../src/orders/idempotency.ts';
import { pruneRefreshTokens } from '../src/users/sessions.ts';
import type { Handler } from './handler.ts';

/** Nightly: deletes what has expired and nobody can use any more. */
export const pruneHandler: Handler<'prune'> = {
  options: () => ({}),
  async work(deps, jobs) {
    const refresh_tokens = await pruneRefreshTokens(deps);
    const idempotency_keys = await pruneIdempotencyKeys(deps);
    const output = { refresh_tokens, idempotency_keys };
    deps.log.info(output, 'expired rows pruned');
    return jobs.map(({ id }) => ({ id, status: 'completed', output }));
  },
};
