import { total } from '../src/audit/check.ts';
import { runScheduledAudit } from '../src/audit/scheduled.ts';
import type { WorkerDeps } from '../src/deps.ts';
import type { Handler } from '../src/queue/handler.ts';

/** Checks the invariants of the orders that have changed, every 5 minutes. */
export function auditHandler(deps: WorkerDeps): Handler<'audit'> {
  return {
    options: {},
    async work(jobs) {
      const findings = await runScheduledAudit(deps);
      const output = { orders: findings.orders, violations: total(findings) };
      return jobs.map(({ id }) => ({ id, status: 'completed', output }));
    },
  };
}
