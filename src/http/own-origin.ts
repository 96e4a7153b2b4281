import type { IncomingHttpHeaders } from 'node:http';
import type { Middleware } from 'koa';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

/**
 * Refuses a request that a page of another origin makes in a browser, unless the origin is one of `origins`. For the
 * requests that use the cookie: a browser sends the cookie without asking the user. Other clients send no Origin.
 */
export function ownOrigin(origins: readonly string[]): Middleware<AppState> {
  const allowed = new Set(origins);
  return (ctx, next) => {
    if (!isOwn(ctx.req.headers, allowed)) throw new Problem('origin-not-allowed');
    return next();
  };
}

// A page cannot set these headers. Sec-Fetch-Site is preferred to a comparison with Host, because a proxy can change
// Host. Old browsers do not send Sec-Fetch-Site, and no browser sends it over plain HTTP, except to localhost.
function isOwn(headers: IncomingHttpHeaders, allowed: Set<string>): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers;
  if (origin !== undefined && allowed.has(origin)) return true;
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  return origin === undefined || hostOf(origin) === host;
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
