import type { IncomingMessage } from 'node:http';
import type { Middleware } from 'koa';
import proxyaddr from 'proxy-addr';

/**
 * Sets `ctx.ip` to the address of the client. This is the address of the connection, or, if that is a trusted proxy,
 * the last address in X-Forwarded-For that is not a trusted proxy. From other peers the header is ignored: any client
 * can send it.
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
