import type { Middleware } from 'koa';
import { sql } from 'slonik';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { reportCount, type Count } from './limit-report.ts';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

/** Attempts that Postgres counts by network, so that emptying Redis resets no count (sql/functions/attempts.sql). */
type Kind = 'register' | 'refresh' | 'password-reset';

const Row = z.object({ used: z.int(), seconds: z.int(), refused: z.boolean() });

/** Allows `points` requests of a network per minute, and four times as many of an IPv6 /48. 0 allows all requests. */
export function attemptLimit(deps: ApiDeps, kind: Kind, points: number): Middleware<AppState> {
  if (points === 0) return (_ctx, next) => next();
  return async (ctx, next) => {
    reportCount(ctx, kind, points, await countAttempt(deps, kind, ctx.state.network, points));
    await next();
  };
}

/**
 * Counts only the requests that are refused with 401. Those beyond `points` get 429 instead. Other requests pass, so a
 * stranger in the same network locks out no user.
 */
export function failureLimit(deps: ApiDeps, kind: Kind, points: number): Middleware<AppState> {
  if (points === 0) return (_ctx, next) => next();
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      if (error instanceof Problem && error.slug === 'invalid-token')
        reportCount(ctx, kind, points, await countAttempt(deps, kind, ctx.state.network, points));
      throw error;
    }
  };
}

function countAttempt({ pool }: ApiDeps, kind: Kind, network: string, points: number) {
  return pool.one(sql.prepared('count-attempt', Row)`
    SELECT used, seconds, refused FROM count_attempt(${kind}, ${network}, ${points})
  `) satisfies Promise<Count>;
}
