import type { Middleware } from 'koa';
import type { AppState } from './state.ts';

const METHODS = 'GET, POST, PUT, PATCH, DELETE';
const REQUEST_HEADERS = 'Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-Id';
const REPLY_HEADERS = [
  ['RateLimit', 'RateLimit-Policy', 'Retry-After', 'Location', 'Link', 'Idempotent-Replayed'],
  ['Deprecation', 'WWW-Authenticate', 'X-Request-Id'],
]
  .flat()
  .join(', ');
const PREFLIGHT_SECONDS = 600; // below the caps of browsers: 2 hours in Chromium, 24 in Firefox

/**
 * Lets pages of these origins call the API from a browser (the CORS protocol of the Fetch standard). Pages of other
 * origins cannot read a reply. Without origins, no reply has headers of CORS.
 */
export function cors(origins: readonly string[]): Middleware<AppState> {
  if (origins.length === 0) return (_ctx, next) => next();
  const allowed = new Set(origins);
  const allowing = ['Access-Control-Allow-Credentials', 'true'];
  return (ctx, next) => {
    const { headers } = ctx.state;
    const { origin = '', 'access-control-request-method': asked } = ctx.req.headers;
    headers.push('Vary', 'Origin');
    if (!allowed.has(origin)) return next();
    headers.push('Access-Control-Allow-Origin', origin, ...allowing);
    headers.push('Access-Control-Expose-Headers', REPLY_HEADERS);
    if (ctx.method !== 'OPTIONS' || asked === undefined) return next();
    headers.push('Access-Control-Allow-Methods', METHODS);
    headers.push('Access-Control-Allow-Headers', REQUEST_HEADERS);
    headers.push('Access-Control-Max-Age', String(PREFLIGHT_SECONDS));
    ctx.status = 204;
    return undefined;
  };
}
