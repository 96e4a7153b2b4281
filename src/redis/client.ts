import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';

const COMMAND_TIMEOUT_MS = 400;
const SOCKET_TIMEOUT_MS = 800;
const RECONNECT_DELAY_MS_MAX = 1000;

const AWAY = 'redis is away: limits are per process, workers poll';

/**
 * Opens a connection to Redis that delays no caller: without a connection each command fails at once, and on a hung
 * connection after 400 ms. The client reconnects in the background without a limit. The log gets one line when Redis
 * becomes unavailable and one when it is back. Returns null without REDIS_URL.
 */
export function openRedis(config: Pick<Config, 'REDIS_URL'>, log: Logger): Redis | null {
  if (!config.REDIS_URL) {
    log.info('REDIS_URL is not set: rate limits count per process, workers find orders by polling');
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
 * Opens a second connection, for subscriptions. It logs nothing, because the first connection logs the same outages.
 * Calls `subscribe` each time it is connected: ioredis repeats only a subscription that has succeeded once, and Redis
 * may be unavailable at the start.
 */
export function openSubscriber(
  redis: Redis,
  subscribe: (subscriber: Redis) => Promise<unknown>,
): Redis {
  const subscriber = redis.duplicate({ autoResubscribe: false });
  // A subscription may receive nothing for a long time, so it has no timeouts.
  delete subscriber.options.commandTimeout;
  delete subscriber.options.socketTimeout;
  subscriber.on('error', () => undefined); // the first connection logs the outage
  subscriber.on('ready', () => void subscribe(subscriber).catch(() => subscriber.disconnect(true)));
  return subscriber;
}

/** Waits until Redis is usable, or for the timeout: the service starts without Redis too. */
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
    log.warn({ err }, AWAY);
  });
  redis.on('close', () => {
    if (away || redis.status === 'end') return;
    away = true;
    log.warn({ err: cause }, AWAY);
  });
  redis.on('ready', () => {
    if (away) log.info('redis is back');
    away = false;
    cause = undefined;
  });
}
