import { total } from '../src/audit/check.ts';
import { runScheduledAudit } from '../src/audit/scheduled.ts';
import type { Handler } from './handler.ts';

/** Every 5 minutes: checks the invariants of the orders that something has happened to. */
export const auditHandler: Handler<'audit'> = {
  options: () => ({}),
  async work(deps, jobs) {
    const findings = await runScheduledAudit(deps);
    const output = { orders: findings.orders, violations: total(findings) };
    return jobs.map(({ id }) => ({ id, status: 'completed', output }));
  },
};
