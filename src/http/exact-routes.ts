import type { Router } from '@koa/router';
import type { Middleware, ParameterizedContext } from 'koa';
import compose, { type ComposedMiddleware } from 'koa-compose';
import type { AppState } from './request-log.ts';

type Context = ParameterizedContext<AppState>;
type Route = { path: string; handle: ComposedMiddleware<Context> };

/**
 * Finds a route whose path has no parameters in a map. The router tries the pattern of each of its routes
 * and composes a chain for every request; here it is asked once, when the process starts. All that it does
 * not answer with exactly one route is left to it, and so is a path that is spelled in another way.
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
    ctx._matchedRoute = route.path; // where the router leaves it for the log
    return route.handle(ctx); // without next: the router would do it all again
  };
}

function onlyRoute(router: Router, method: string, path: string): Route | undefined {
  const { pathAndMethod } = router.match(path, method);
  const [layer] = pathAndMethod;
  if (!layer || pathAndMethod.length > 1 || layer.paramNames.length > 0) return undefined;
  return { path, handle: compose(layer.stack) as Route['handle'] };
}
