import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';

const COMMAND_TIMEOUT_MS = 400;
const SOCKET_TIMEOUT_MS = 800;
const RECONNECT_DELAY_MS_MAX = 1000;

/**
 * Connects to Redis so that no caller waits for it: without a live connection each command fails at once, with a hung
 * one after 400 ms. The client reconnects in the background without a limit. Logs one
 * line when Redis goes away and one when it is back. Without REDIS_URL there is no client.
 */
export function openRedis(config: Pick<Config, 'REDIS_URL'>, log: Logger): Redis | null {
  if (!config.REDIS_URL) {
    log.info('no REDIS_URL: rate limits are per process, workers find orders by polling');
    return null;
  }
  const redis = new Redis(config.REDIS_URL, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    retryStrategy: (tries) => Math.min(50 * 2 ** tries, RECONNECT_DELAY_MS_MAX),
  });
  logOutages(redis, log);
  return redis;
}

/**
 * A second connection, for subscriptions. Shares the outage log of the first by staying silent. Calls
 * `subscribe` whenever it is connected: ioredis repeats only what has succeeded once, and Redis may be
 * away when we start.
 */
export function openSubscriber(
  redis: Redis,
  subscribe: (subscriber: Redis) => Promise<unknown>,
): Redis {
  const subscriber = redis.duplicate({ autoResubscribe: false });
  // A subscription waits in silence by nature, so neither timeout applies to it.
  delete subscriber.options.commandTimeout;
  delete subscriber.options.socketTimeout;
  subscriber.on('error', () => undefined); // the first connection reports the same outage
  subscriber.on('ready', () => void subscribe(subscriber).catch(() => subscriber.disconnect(true)));
  return subscriber;
}

/** Waits until Redis is usable, but no longer than a moment: the service starts without it too. */
export async function whenReady(redis: Redis | null, timeoutMs = 1000): Promise<void> {
  if (!redis || redis.status === 'ready') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function logOutages(redis: Redis, log: Logger): void {
  let away = false;
  let cause: unknown;
  redis.on('error', (err) => {
    cause = err;
    if (away) return;
    away = true;
    log.warn({ err }, 'redis is away: limits are per process, workers poll');
  });
  redis.on('close', () => {
    if (away || redis.status === 'end') return;
    away = true;
    log.warn({ err: cause }, 'redis is away: limits are per process, workers poll');
  });
  redis.on('ready', () => {
    if (away) log.info('redis is back');
    away = false;
    cause = undefined;
  });
}
