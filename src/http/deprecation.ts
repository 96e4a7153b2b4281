import type { RouterContext } from '@koa/router';
import type { Middleware } from 'koa';
import type { AppState } from './state.ts';

/** The names of the original API are deprecated since 2026-11-27: the date in the header of every alias. */
const DEPRECATED_AT_SECONDS = 1_795_737_600;

/**
 * Marks every reply of an alias as deprecated (RFC 9745), with a Link to the route that replaces it. The replies have
 * no Sunset, because no date is set on which the aliases end.
 */
export function deprecated<State extends AppState>(
  successorOf: (ctx: RouterContext<State>) => string,
): Middleware<State> {
  return (ctx, next) => {
    const successor = `<${successorOf(ctx as RouterContext<State>)}>; rel="successor-version"`;
    ctx.state.headers.push('Deprecation', `@${DEPRECATED_AT_SECONDS}`, 'Link', successor);
    return next();
  };
}
