/*
 * Headers that any answer to a request carries are gathered in `ctx.state.headers`, names and values in
 * turn. They are written once, with the security headers: by `answer` in one go, or before Koa answers.
 */
import type { ParameterizedContext } from 'koa';
import type { Reply } from './idempotency.ts';
import type { AppState } from './request-log.ts';
import { securityHeaders } from './security-headers.ts';

type Context = ParameterizedContext<AppState>;

const SECURITY_HEADERS = securityHeaders();

/** Sets the headers that an answer of Koa's is to carry. */
export function setHeaders({ res, state }: Context): void {
  const headers = [...SECURITY_HEADERS, ...state.headers];
  for (let at = 0; at < headers.length; at += 2) {
    res.setHeader(headers[at] ?? '', headers[at + 1] ?? '');
  }
}

/**
 * Answers with a reply, and says so when it was given before. Written here and not by Koa, which would
 * set each header by itself, look up the media type, and measure the body once more.
 */
export function answer(ctx: Context, reply: Reply): void {
  const { body, replayed } = reply;
  const bytes = Buffer.byteLength(body);
  const headers = [...SECURITY_HEADERS, ...ctx.state.headers];
  for (const name in reply.headers) headers.push(name, reply.headers[name] ?? '');
  if (replayed) headers.push('Idempotent-Replayed', 'true');
  headers.push('Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(bytes));
  ctx.respond = false;
  ctx.res.writeHead(reply.status, headers);
  ctx.res.end(body, bytes === body.length ? 'latin1' : 'utf8'); // ASCII is the same in both
}
