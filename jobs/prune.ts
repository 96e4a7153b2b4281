import { pruneRefreshTokens } from '../src/users/sessions.ts';
import type { Handler } from './handler.ts';

/** Nightly: deletes what has expired and nobody can use any more. */
export const pruneHandler: Handler<'prune'> = {
  options: () => ({ pollingIntervalSeconds: 60 }),
  async work(deps, jobs) {
    const refresh_tokens = await pruneRefreshTokens(deps);
    deps.log.info({ refresh_tokens }, 'expired rows pruned');
    return jobs.map(({ id }) => ({ id, status: 'completed', output: { refresh_tokens } }));
  },
};
