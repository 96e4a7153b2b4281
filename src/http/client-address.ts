import type { IncomingMessage } from 'node:http';
import type { Middleware } from 'koa';
import proxyaddr from 'proxy-addr';

/**
 * Sets `ctx.ip` to the address of the client: the peer itself, unless the peer is a trusted proxy;
 * then the nearest address in X-Forwarded-For that is not one. Anybody can send that header.
 */
export function clientAddress(trustedProxies: string[]): Middleware {
  const isTrusted = proxyaddr.compile(trustedProxies);
  const addressOf = (req: IncomingMessage) =>
    trustedProxies.length === 0 ? req.socket.remoteAddress : proxyaddr(req, isTrusted);
  return (ctx, next) => {
    ctx.request.ip = (addressOf(ctx.req) ?? '').replace(/^::ffff:(?=\d+\.)/, '');
    return next();
  };
}
