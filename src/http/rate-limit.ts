import type { Middleware } from 'koa';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Deps } from '../deps.ts';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

const WINDOW_SECONDS = 60;

/**
 * Allows `points` requests per minute for one key, and refuses further requests with 429 and Retry-After. All processes
 * share a count in Redis. While Redis is unavailable, each process counts by itself. 0 switches the limit off.
 */
export function rateLimit<State extends AppState>(
  { redis, config }: Pick<Deps, 'redis' | 'config'>,
  name: string,
  points: number,
  keyOf: (ctx: Parameters<Middleware<State>>[0]) => string,
): Middleware<State> {
  if (points === 0) return (_ctx, next) => next();
  const policy = `"${name}";q=${points};w=${WINDOW_SECONDS}`;
  const options = {
    points,
    duration: WINDOW_SECONDS,
    keyPrefix: `${config.REDIS_PREFIX}:limit:${name}`,
  };
  const ownLimiter = new RateLimiterMemory(options);
  const limiter = redis
    ? new RateLimiterRedis({
        ...options,
        storeClient: redis,
        insuranceLimiter: ownLimiter,
        rejectIfRedisNotReady: true,
      })
    : ownLimiter;

  return async (ctx, next) => {
    const key = keyOf(ctx);
    const result = await limiter.consume(key).catch(refusal);
    if (redis) await copyCount(ownLimiter, key, result);
    const resetSeconds = Math.max(Math.ceil(result.msBeforeNext / 1000), 1);
    const left = `"${name}";r=${result.remainingPoints};t=${resetSeconds}`;
    ctx.state.headers.push('RateLimit-Policy', policy, 'RateLimit', left);
    if (result.consumedPoints > points) {
      ctx.set('Retry-After', String(resetSeconds));
      const detail = `At most ${points} of these requests are allowed per minute.`;
      throw new Problem('quota-exceeded', detail, { 'violated-policies': [name] });
    }
    await next();
  };
}

/** The limiter rejects with its result when the limit is exceeded, and with an Error when it fails. */
function refusal(reason: unknown): RateLimiterRes {
  if (reason instanceof RateLimiterRes) return reason;
  throw reason;
}

/** Copies a count from Redis to the limiter of this process, which continues from it when Redis fails. */
async function copyCount(
  ownLimiter: RateLimiterMemory,
  key: string,
  { consumedPoints, msBeforeNext }: RateLimiterRes,
): Promise<void> {
  const known = await ownLimiter.get(key);
  if (known && known.consumedPoints >= consumedPoints) return; // it has counted this request itself
  await ownLimiter.set(key, consumedPoints, Math.max(msBeforeNext, 1) / 1000); // 0 would mean no expiry
}
