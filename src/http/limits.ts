/*
 * Every limit on requests, and what it counts by. Each route names its limits; limits.test.ts tries all routes.
 */
import type { Middleware } from 'koa';
import compose from 'koa-compose';
import type { ApiDeps } from '../deps.ts';
import { authenticate, type AuthDeps, type Authenticated } from './auth.ts';
import { Problem } from './problem.ts';
import { createRateLimit, rateLimit, type RateLimit } from './rate-limit.ts';
import type { AppState } from './state.ts';

export type Limits = ReturnType<typeof createLimits>;

/** Creates the limits of an API process, and its authentication, which is limited too. */
export function createLimits(deps: ApiDeps & AuthDeps) {
  const { config } = deps;
  const strangers = createRateLimit(deps, 'public', config.RATE_LIMIT_PUBLIC);
  const ofNetwork = (name: string, points: number) =>
    rateLimit<AppState>(createRateLimit(deps, name, points), byNetwork);
  const ofUser = (name: string, points: number) =>
    rateLimit<Authenticated>(createRateLimit(deps, name, points), byUser);
  return {
    /** Requests that need no access token. */
    public: rateLimit<AppState>(strangers, byNetwork),
    register: ofNetwork('register', config.RATE_LIMIT_REGISTER),
    login: ofNetwork('login', config.RATE_LIMIT_LOGIN),
    refresh: ofNetwork('refresh', config.RATE_LIMIT_REFRESH),
    passwordReset: ofNetwork('password-reset', config.RATE_LIMIT_LOGIN),
    /** Authenticates. A request that is refused counts like one that needs no access token. */
    authenticated: strangers
      ? compose([countRefusals(strangers), authenticate(deps)])
      : authenticate(deps),
    // The limits of a user come after authentication.
    read: ofUser('read', config.RATE_LIMIT_READ),
    password: ofUser('password', config.RATE_LIMIT_LOGIN),
    create: ofUser('create', config.RATE_LIMIT_CREATE),
    list: ofUser('list', config.RATE_LIMIT_LIST),
    cancel: ofUser('cancel', config.RATE_LIMIT_CANCEL),
  };
}

function countRefusals(limit: RateLimit): Middleware<Authenticated> {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      if (isUnauthenticated(error)) await limit.count(ctx, ctx.state.network);
      throw error;
    }
  };
}

/** Whether a request had no valid access token. koa-jwt throws an error with a status. */
function isUnauthenticated(error: unknown): boolean {
  if (error instanceof Problem) return error.slug === 'invalid-token';
  return error instanceof Error && 'status' in error && error.status === 401;
}

function byUser({ userId }: Authenticated): string {
  return userId;
}

function byNetwork({ network }: AppState): string {
  return network;
}
