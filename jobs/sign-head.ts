import { signDailyHead } from '../src/audit/heads.ts';
import type { WorkerDeps } from '../src/deps.ts';
import type { Handler } from '../src/queue/handler.ts';

/** Signs a head over the events of all orders, every day. */
export function signHeadHandler(deps: WorkerDeps): Handler<'sign-head'> {
  return {
    options: {},
    async work(jobs) {
      const head = await signDailyHead(deps);
      const output = { number: head?.number ?? null };
      return jobs.map(({ id }) => ({ id, status: 'completed', output }));
    },
  };
}
