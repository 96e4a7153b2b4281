import { Router } from '@koa/router';
import type { Deps } from '../deps.ts';
import { isReady, type Health } from './health.ts';
import type { Readiness } from './readiness.ts';

/** The routes of the public port: whether the process lives, and whether it is ready. */
export function healthRoutes({ health }: { health: Health }) {
  return probeRoutes(health, ({ status }) => ({ status }));
}

/** The routes of METRICS_PORT, for operators: also why the process is not ready, and the metrics. */
export function internalRoutes({ health, metrics }: Pick<Deps, 'metrics'> & { health: Health }) {
  const router = probeRoutes(health, (readiness) => readiness);
  router.get('/metrics', async (ctx) => {
    ctx.body = await health.metrics();
    ctx.set('Content-Type', metrics.registry.contentType);
  });
  return router;
}

/** The probes of an orchestrator or a load balancer. `shown` is the part of the readiness that the port shows. */
function probeRoutes(health: Health, shown: (readiness: Readiness) => object): Router {
  const router = new Router();
  router.get('/livez', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/readyz', async (ctx) => {
    const readiness = await health.readiness();
    ctx.status = isReady(readiness) ? 200 : 503;
    ctx.body = shown(readiness);
  });
  return router;
}
