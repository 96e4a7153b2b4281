/*
 * Every limit on requests, and by what it counts: by user or by network. Each route names its limits. limits.test.ts
 * tries all routes.
 */
import type { Middleware, ParameterizedContext } from 'koa';
import compose from 'koa-compose';
import type { ApiDeps } from '../deps.ts';
import { authenticate, type AuthDeps, type Authenticated } from './auth.ts';
import { attemptLimit, failureLimit } from './attempt-limit.ts';
import { reportCount, type Count } from './limit-report.ts';
import { Problem } from './problem.ts';
import { createRateLimit, rateLimit, type RateLimit } from './rate-limit.ts';
import type { AppState } from './state.ts';

export type Limits = ReturnType<typeof createLimits>;

const LOGINS_FAILED = 'Too many logins have failed. Try again later.';

/** Creates the limits of an API process, and its authentication, which is limited too. */
export function createLimits(deps: ApiDeps & AuthDeps) {
  const { config } = deps;
  const strangers = createRateLimit(deps, 'public', config.RATE_LIMIT_PUBLIC);
  const ofUser = (name: string, points: number) =>
    rateLimit<Authenticated>(createRateLimit(deps, name, points), byUser);
  return {
    /** Requests that need no access token. */
    public: rateLimit<AppState>(strangers, byNetwork),
    // Postgres counts these attempts, so that emptying Redis resets no count.
    register: attemptLimit(deps, 'register', config.RATE_LIMIT_REGISTER),
    refresh: failureLimit(deps, 'refresh', config.RATE_LIMIT_REFRESH),
    passwordReset: attemptLimit(deps, 'password-reset', config.RATE_LIMIT_LOGIN),
    /** Tells the client about failed logins. Throws 429 when a login was refused. */
    reportLogin: (ctx: ParameterizedContext<AppState>, attempts: Count) =>
      reportCount(ctx, 'login', config.RATE_LIMIT_LOGIN, attempts, LOGINS_FAILED),
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
