/*
 * The headers of a reply are collected in `ctx.state.headers`, names and values in turn. They are written once, with
 * the security headers: by `sendReply`, or by `setHeaders` when Koa sends the reply.
 */
import type { ParameterizedContext } from 'koa';
import { securityHeaders } from './security-headers.ts';
import type { AppState } from './state.ts';

type Context = ParameterizedContext<AppState>;

/**
 * The reply to a request that places or cancels an order. Under an Idempotency-Key it is stored, and sent again to each
 * repeat of the request. `body` is JSON text.
 */
export type Reply = {
  status: number;
  headers: Record<string, string>;
  body: string;
  order_id: string;
  replayed: boolean;
};

const SECURITY_HEADERS = securityHeaders();

/** Headers that are lists: a reply can have several lines of one, for example when two limits count a request. */
const LISTS = new Set(['Link', 'RateLimit', 'RateLimit-Policy']);

/** Sets the collected headers on a reply that Koa sends. */
export function setHeaders({ res, state }: Context): void {
  const headers = [...SECURITY_HEADERS, ...state.headers];
  for (let at = 0; at < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2);
    if (LISTS.has(name)) res.appendHeader(name, value);
    else res.setHeader(name, value);
  }
}

/**
 * Sends a reply, and marks a stored one with `Idempotent-Replayed`. It does not use Koa, which would set the headers
 * one by one, look up the media type, and measure the body again.
 */
export function sendReply(ctx: Context, reply: Reply): void {
  if (ctx.headerSent) return; // the deadline has passed, and 503 was sent
  const { body, replayed } = reply;
  const bytes = Buffer.byteLength(body);
  const headers = [...SECURITY_HEADERS, ...ctx.state.headers];
  for (const name in reply.headers) headers.push(name, reply.headers[name] ?? '');
  if (replayed) headers.push('Idempotent-Replayed', 'true');
  headers.push('Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(bytes));
  ctx.respond = false;
  ctx.res.writeHead(reply.status, headers);
  ctx.res.end(body, bytes === body.length ? 'latin1' : 'utf8'); // ASCII: the same bytes, no conversion
}
