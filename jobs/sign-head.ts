import { signDailyHead } from '../src/audit/heads.ts';
import type { Handler } from './handler.ts';

/** Daily: a signed head over the events of all orders. */
export const signHeadHandler: Handler<'sign-head'> = {
  options: () => ({}),
  async work(deps, jobs) {
    const head = await signDailyHead(deps);
    const output = { number: head?.number ?? null };
    return jobs.map(({ id }) => ({ id, status: 'completed', output }));
  },
};
