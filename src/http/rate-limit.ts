import type { Middleware } from 'koa';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Deps } from '../deps.ts';
import { Problem } from './problem.ts';
import type { AppState } from './request-log.ts';

const WINDOW_SECONDS = 60;

/**
 * Allows `points` requests a minute for one key; the next gets 429 with Retry-After. All processes share a count on
 * Redis. While Redis is away, each counts on its own. 0 switches the limit off.
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
  const insuranceLimiter = new RateLimiterMemory(options);
  const limiter = redis
    ? new RateLimiterRedis({
        ...options,
        storeClient: redis,
        insuranceLimiter,
        rejectIfRedisNotReady: true,
      })
    : insuranceLimiter;

  return async (ctx, next) => {
    const key = keyOf(ctx);
    const result = await limiter.consume(key).catch(refusal);
    if (redis) await keepUp(insuranceLimiter, key, result);
    const resetSeconds = Math.max(Math.ceil(result.msBeforeNext / 1000), 1);
    const left = `"${name}";r=${result.remainingPoints};t=${resetSeconds}`;
    ctx.state.headers.push('RateLimit-Policy', policy, 'RateLimit', left);
    if (result.consumedPoints > points) {
      ctx.set('Retry-After', String(resetSeconds));
      const detail = `At most ${points} of these requests a minute.`;
      throw new Problem('quota-exceeded', detail, { 'violated-policies': [name] });
    }
    await next();
  };
}

/** The limiter rejects with its result when the limit is reached, and with an Error when it broke. */
function refusal(reason: unknown): RateLimiterRes {
  if (reason instanceof RateLimiterRes) return reason;
  throw reason;
}

/** Tells the insurance what Redis counted, so that it goes on from there if it has to take over. */
async function keepUp(
  insurance: RateLimiterMemory,
  key: string,
  { consumedPoints, msBeforeNext }: RateLimiterRes,
): Promise<void> {
  const known = await insurance.get(key);
  if (known && known.consumedPoints >= consumedPoints) return; // it counted this one itself
  await insurance.set(key, consumedPoints, Math.max(msBeforeNext, 1) / 1000); // 0 would be for ever
}
