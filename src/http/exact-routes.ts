import type { Router } from '@koa/router';
import type { Middleware, ParameterizedContext } from 'koa';
import compose, { type ComposedMiddleware } from 'koa-compose';
import type { AppState } from './state.ts';

type Context = ParameterizedContext<AppState>;
type Route = { path: string; handle: ComposedMiddleware<Context> };

/**
 * Handles requests for routes whose path has no parameters, found in a map. The router would test the pattern of each
 * route and compose the middleware for every request; this does it once, when the process starts. The router handles
 * all other requests: paths with parameters, paths with several matching routes, and other spellings of a path.
 */
export function exactRoutes(router: Router): Middleware<AppState> {
  const routes = new Map<string, Map<string, Route>>();
  for (const { path, methods } of router.stack) {
    if (typeof path !== 'string') continue;
    for (const method of methods) {
      const route = onlyRoute(router, method, path);
      if (!route) continue;
      const byMethod = routes.get(path) ?? new Map<string, Route>();
      routes.set(path, byMethod.set(method, route));
    }
  }
  return (ctx, next) => {
    const route = routes.get(ctx.req.url ?? '')?.get(ctx.method);
    if (!route) return next();
    ctx._matchedRoute = route.path; // as the router does; the log reads it
    return route.handle(ctx); // without next: the router would handle the request again
  };
}

function onlyRoute(router: Router, method: string, path: string): Route | undefined {
  const { pathAndMethod } = router.match(path, method);
  const [layer] = pathAndMethod;
  if (!layer || pathAndMethod.length > 1 || layer.paramNames.length > 0) return undefined;
  return { path, handle: compose(layer.stack) as Route['handle'] };
}
