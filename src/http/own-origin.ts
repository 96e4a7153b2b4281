import type { IncomingHttpHeaders } from 'node:http';
import type { Middleware } from 'koa';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

/**
 * Refuses a request that a page of another origin makes in a browser, except the given ones. For requests that read or
 * set the cookie: a browser sends it along without asking its user. Clients that are not browsers send no Origin.
 */
export function ownOrigin(origins: readonly string[]): Middleware<AppState> {
  const allowed = new Set(origins);
  return (ctx, next) => {
    if (!isOwn(ctx.req.headers, allowed)) throw new Problem('origin-not-allowed');
    return next();
  };
}

// A page cannot set these headers. Sec-Fetch-Site comes first: it is also right behind a proxy that changes Host. Not
// every browser sends it, and none does over plain HTTP.
function isOwn(headers: IncomingHttpHeaders, allowed: Set<string>): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers;
  if (origin !== undefined && allowed.has(origin)) return true;
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  return origin === undefined || hostOf(origin) === host;
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
