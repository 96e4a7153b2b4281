/*
 * Headers that every answer to a request carries are gathered in `ctx.state.headers`, names and values in
 * turn, and written once: with a reply in one go, or before Koa writes any other answer.
 */
import type { Middleware, ParameterizedContext } from 'koa';
import type { Reply } from './idempotency.ts';
import type { AppState } from './request-log.ts';
import { securityHeaders } from './security-headers.ts';

/** Begins the list of headers, and sets what was gathered unless `answer` has sent it. */
export function commonHeaders(): Middleware<AppState> {
  const fixed = securityHeaders();
  return async (ctx, next) => {
    ctx.state.headers = [...fixed, 'X-Request-Id', ctx.state.about.request_id];
    await next();
    if (ctx.headerSent) return;
    const { headers } = ctx.state;
    for (let at = 0; at < headers.length; at += 2) {
      ctx.res.setHeader(headers[at] ?? '', headers[at + 1] ?? '');
    }
  };
}

/**
 * Answers with a reply, and says so when it was given before. Written here and not by Koa, which would
 * set each header by itself, look up the media type, and measure the body once more.
 */
export function answer(ctx: ParameterizedContext<AppState>, reply: Reply): void {
  const { body, replayed } = reply;
  const bytes = Buffer.byteLength(body);
  const { headers } = ctx.state;
  for (const name in reply.headers) headers.push(name, reply.headers[name] ?? '');
  if (replayed) headers.push('Idempotent-Replayed', 'true');
  headers.push('Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(bytes));
  ctx.respond = false;
  ctx.res.writeHead(reply.status, headers);
  ctx.res.end(body, bytes === body.length ? 'latin1' : 'utf8'); // ASCII is the same in both
}
