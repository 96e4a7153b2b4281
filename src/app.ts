import { Router } from '@koa/router';
import Koa from 'koa';
import type { ApiDeps, Deps } from './deps.ts';
import { docsRoutes } from './docs/routes.ts';
import type { Health } from './health/health.ts';
import { healthRoutes, internalRoutes } from './health/routes.ts';
import { ClientGone } from './http/client-gone.ts';
import { clientAddress } from './http/client-address.ts';
import { cors } from './http/cors.ts';
import { failable } from './http/deadline.ts';
import { exactRoutes } from './http/exact-routes.ts';
import { createLimits } from './http/limits.ts';
import { Problem, problemDetails } from './http/problem.ts';
import { requestLog } from './http/request-log.ts';
import type { AppState } from './http/state.ts';
import type { Intake } from './orders/placement.ts';
import { orderRoutes } from './orders/routes.ts';
import { keyRoutes } from './users/key-routes.ts';
import type { LiveSessions } from './users/live-sessions.ts';
import type { PasswordHasher } from './users/passwords.ts';
import { userRoutes } from './users/routes.ts';
import type { TokenKeys } from './users/token-keys.ts';

/** The dependencies of the HTTP API: also the intake, password hashing, live sessions, token keys, and its health. */
export type AppDeps = ApiDeps & {
  intake: Intake;
  passwords: PasswordHasher;
  liveSessions: LiveSessions;
  tokenKeys: TokenKeys;
  health: Health;
};

/**
 * Creates the HTTP application of an API process. A request passes the middleware in this order. A route reads the body
 * itself (jsonBody), after authentication and the limits, so a refused request costs no parsing.
 */
export function createApp(deps: AppDeps): Koa<AppState> {
  const app = createBareApp(deps);
  app.use(cors(deps.config.CORS_ORIGINS));
  const limits = createLimits(deps);
  const router = new Router();
  router.use(healthRoutes(deps).routes());
  router.use(keyRoutes(deps, limits).routes());
  router.use(userRoutes(deps, limits).routes());
  router.use(orderRoutes(deps, limits).routes());
  app.use(exactRoutes(router));
  app.use(router.routes());
  app.use(limits.public); // the documents, and requests that no route handles
  app.use(docsRoutes(deps).routes());
  app.use(router.allowedMethods()); // 405 and 501, with Allow
  return app;
}

/** Creates the HTTP application behind METRICS_PORT: health and metrics, for operators only. */
export function createInternalApp(deps: Deps & { health: Health }): Koa<AppState> {
  const app = createBareApp(deps);
  const router = internalRoutes(deps);
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

function createBareApp({ config, log, metrics }: Deps): Koa<AppState> {
  const app = new Koa<AppState>();
  app.use(clientAddress(config.TRUSTED_PROXIES));
  app.use(requestLog(log, metrics)); // before problemDetails, so that it logs the status of the reply
  app.use(problemDetails());
  app.use(failable());
  app.on('error', (err: unknown, ctx?: { state: AppState }) => {
    const about = ctx?.state.about;
    if (isOverload(err))
      log.warn({ ...about, reason: err.message }, 'request refused'); // without a stack
    else log[isClientGone(err) ? 'debug' : 'error']({ ...about, err }, 'request failed');
  });
  return app;
}

function isOverload(error: unknown): error is Problem {
  return error instanceof Problem && error.slug === 'overloaded';
}

/** Whether the client disconnected during the request. That is not an error of the service. */
function isClientGone(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return error instanceof ClientGone || code === 'ECONNRESET' || code === 'EPIPE';
}
