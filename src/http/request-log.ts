import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics.ts';

/** What every request carries. */
export type AppState = { log: Logger; requestId: string; body?: unknown };

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Gives the request its id (the client's, when it sent a sane one), a logger, and one line at the end. */
export function requestLog(log: Logger, metrics: Metrics): Middleware<AppState> {
  return async (ctx, next) => {
    const started = performance.now();
    const sent = ctx.get('X-Request-Id');
    const requestId = REQUEST_ID.test(sent) ? sent : randomUUID();
    ctx.state.requestId = requestId;
    ctx.state.log = log.child({ request_id: requestId });
    ctx.set('X-Request-Id', requestId);

    await next();

    const seconds = (performance.now() - started) / 1000;
    const route = typeof ctx._matchedRoute === 'string' ? ctx._matchedRoute : 'none';
    const labels = { method: ctx.method, route, status: ctx.status };
    metrics.httpRequests.observe(labels, seconds);
    ctx.state.log.info(
      { ...labels, path: ctx.path, duration_ms: Math.round(seconds * 1000), ip: ctx.ip },
      'request answered',
    );
  };
}
