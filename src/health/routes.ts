import { Router } from '@koa/router';
import { sql } from 'slonik';
import { z } from 'zod';
import { INVARIANTS } from '../audit/check.ts';
import type { Deps } from '../deps.ts';
import { checkReadiness } from './readiness.ts';

const QueueDepth = z.object({
  queue: z.string(),
  ready: z.int(),
  deferred: z.int(),
  active: z.int(),
  failed: z.int(),
  oldest_ready_seconds: z.number(),
});

const AuditRun = z.object({
  finished_at: z.iso.datetime(),
  violations: z.record(z.string(), z.int()),
});

/**
 * Liveness, readiness and metrics, of API and workers. `waiting` returns the number of orders that wait to be placed.
 */
export function healthRoutes(deps: Deps, waiting = () => 0) {
  const router = new Router();

  router.get('/livez', (ctx) => {
    ctx.body = { status: 'ok' };
  });

  router.get('/readyz', async (ctx) => {
    const readiness = await checkReadiness(deps);
    ctx.status = ['stopping', 'unavailable'].includes(readiness.status) ? 503 : 200;
    ctx.body = readiness;
  });

  router.get('/metrics', async (ctx) => {
    await readQueueDepth(deps).catch((err: unknown) => {
      deps.log.debug({ err }, 'queue gauges not read'); // during an outage the other metrics are needed most
      deps.metrics.queueJobs.reset();
      deps.metrics.queueOldestSeconds.reset();
    });
    await readAuditRun(deps).catch((err: unknown) => {
      deps.log.debug({ err }, 'audit gauges not read');
      deps.metrics.auditViolations.reset();
    });
    deps.metrics.intakeWaiting.set(waiting());
    ctx.type = deps.metrics.registry.contentType;
    ctx.body = await deps.metrics.registry.metrics();
  });

  return router;
}

async function readQueueDepth({ pool, metrics }: Deps): Promise<void> {
  const queues = await pool.any(sql.type(QueueDepth)`
    SELECT queue, ready, deferred, active, failed,
      coalesce(extract(epoch FROM oldest_ready), 0)::float8 AS oldest_ready_seconds
    FROM ops.queues
  `);
  for (const { queue, oldest_ready_seconds, ...counts } of queues) {
    metrics.queueOldestSeconds.set({ queue }, oldest_ready_seconds);
    for (const [state, count] of Object.entries(counts))
      metrics.queueJobs.set({ queue, state }, count);
  }
}

/** Reads the newest scheduled audit. An invariant that holds is 0. Before the first audit there is no value. */
async function readAuditRun({ pool, metrics }: Deps): Promise<void> {
  const run = await pool.maybeOne(sql.type(AuditRun)`
    SELECT finished_at, violations FROM audit.runs ORDER BY id DESC LIMIT 1
  `);
  if (!run) return;
  metrics.auditFinished.set(Date.parse(run.finished_at) / 1000);
  for (const invariant of INVARIANTS)
    metrics.auditViolations.set({ invariant }, run.violations[invariant] ?? 0);
}
