import type { Middleware, ParameterizedContext } from 'koa';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { Deps } from '../deps.ts';
import { reportCount, WINDOW_SECONDS, type Count } from './limit-report.ts';
import { OwnCounts } from './own-counts.ts';
import type { AppState } from './state.ts';

/** A limit on requests: each process counts them, and all share their counts through Redis. */
export type RateLimit = {
  /** Counts a request of a key. Throws 429 when the limit is exceeded. */
  count(ctx: ParameterizedContext<AppState>, key: string): Promise<void>;
};

const COUNTED_MAX = 1e9; // the limiter only counts; this module compares with the limit

/**
 * Allows `points` requests per minute for one key. All processes share a count in Redis. Each process also counts its
 * own requests. So it has a limit while Redis is unavailable or after Redis was emptied, and a key over the limit costs
 * no call to Redis. 0 switches the limit off.
 */
export function createRateLimit(
  { redis, config }: Pick<Deps, 'redis' | 'config'>,
  name: string,
  points: number,
): RateLimit | null {
  if (points === 0) return null;
  const own = new OwnCounts(WINDOW_SECONDS);
  const shared =
    redis &&
    new RateLimiterRedis({
      points: COUNTED_MAX,
      duration: WINDOW_SECONDS,
      keyPrefix: `${config.REDIS_PREFIX}:limit:${name}`,
      storeClient: redis,
      rejectIfRedisNotReady: true,
    });

  async function countOf(key: string): Promise<Count> {
    const { used, endsAt } = own.add(key);
    const now = performance.now();
    const alone = countUntil(used, endsAt - now);
    if (!shared || used > points) return alone;
    const all = await shared.consume(key).catch(() => null); // the client of Redis logs outages
    if (!all || all.consumedPoints < used) return alone; // away, or emptied
    own.raise(key, all.consumedPoints, now + all.msBeforeNext);
    return countUntil(all.consumedPoints, all.msBeforeNext);
  }

  const countUntil = (used: number, ms: number): Count => ({
    used,
    seconds: Math.ceil(ms / 1000),
    refused: used > points,
  });
  return {
    async count(ctx, key) {
      reportCount(ctx, name, points, await countOf(key));
    },
  };
}

/** The middleware of a limit: counts each request for the key that `keyOf` returns. */
export function rateLimit<State extends AppState>(
  limit: RateLimit | null,
  keyOf: (state: State) => string,
): Middleware<State> {
  if (!limit) return (_ctx, next) => next();
  return async (ctx, next) => {
    await limit.count(ctx, keyOf(ctx.state));
    await next();
  };
}
