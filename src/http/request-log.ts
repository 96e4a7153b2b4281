import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics.ts';
import { setHeaders } from './answer.ts';

/**
 * What every request carries. `about` is what each line of the log says of it; `headers` go out with any
 * answer to it (src/http/answer.ts).
 */
export type AppState = { about: About; headers: string[]; body?: unknown };
export type About = { request_id: string; user_id?: string; order_id?: string; job_id?: string };

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Gives the request its id (the client's, when it sent a sane one), and one line in the log at the end. */
export function requestLog(log: Logger, metrics: Metrics): Middleware<AppState> {
  // Redaction copies a line first, at three times the price of writing it: no field here needs it.
  const lines = log.child({}, { redact: [] });
  return async (ctx, next) => {
    const started = performance.now();
    const sent = ctx.req.headers['x-request-id'];
    const isSane = typeof sent === 'string' && REQUEST_ID.test(sent);
    const request_id = isSane ? sent : randomUUID();
    ctx.state.about = { request_id };
    ctx.state.headers = ['X-Request-Id', request_id];

    await next();
    if (!ctx.headerSent) setHeaders(ctx);

    const seconds = (performance.now() - started) / 1000;
    const route = typeof ctx._matchedRoute === 'string' ? ctx._matchedRoute : 'none';
    const labels = { method: ctx.method, route, status: ctx.status };
    metrics.httpRequests.observe(labels, seconds);
    if (!lines.isLevelEnabled('info')) return;
    lines.info(
      {
        ...ctx.state.about,
        ...labels,
        path: ctx.path,
        duration_ms: Math.round(seconds * 1000),
        ip: ctx.ip,
      },
      'request answered',
    );
  };
}
