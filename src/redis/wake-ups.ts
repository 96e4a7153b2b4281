import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';
import { crashPoint } from '../crash-point.ts';
import { openSubscriber } from './client.ts';

/** Sends wake-ups to workers. Called after a commit. */
export type WakeUps = {
  /** Wakes the workers of a queue. When a wake-up is lost, the job waits for the next check of the watcher. */
  send(queue: QueueName): void;
};

/** The channel for wake-ups. A message is the name of a queue. */
export function wakeUpChannel(config: Pick<Config, 'REDIS_PREFIX'>): string {
  return `${config.REDIS_PREFIX}:wake`;
}

/** The pause after a publish, because each one costs CPU time in Redis, this process and every worker. */
const PAUSE_MS = 5;

/**
 * Publishes wake-ups on Redis: the first at once, further ones together after a pause. Never throws and never delays
 * the caller. While Redis is unavailable, wake-ups are dropped, because they are out of date when it is back.
 */
export function createWakeUps(redis: Redis | null, config: Pick<Config, 'REDIS_PREFIX'>): WakeUps {
  const channel = wakeUpChannel(config);
  const queues = new Set<string>();
  let publishing = false;

  async function publish(connection: Redis): Promise<void> {
    while (connection.status === 'ready' && queues.size > 0) {
      const publishes = Array.from(queues, (queue) => connection.publish(channel, queue));
      queues.clear();
      await Promise.allSettled(publishes); // the connection logs outages
      crashPoint('after-publish');
      await setTimeout(PAUSE_MS);
    }
    queues.clear();
    publishing = false;
  }

  return {
    send(queue) {
      if (redis?.status !== 'ready') return;
      queues.add(queue);
      if (publishing) return;
      publishing = true;
      setImmediate(() => void publish(redis)); // after the reply to the client
    },
  };
}

/** Calls `wake` with the name of the queue for each wake-up. Returns a function that ends the subscription. */
export function onWakeUp(
  redis: Redis | null,
  config: Pick<Config, 'REDIS_PREFIX'>,
  wake: (queue: string) => void,
): () => void {
  if (!redis) return () => undefined;
  const subscriber = openSubscriber(redis, (connection) =>
    connection.subscribe(wakeUpChannel(config)),
  );
  subscriber.on('message', (_channel, queue) => wake(queue));
  return () => subscriber.disconnect();
}
