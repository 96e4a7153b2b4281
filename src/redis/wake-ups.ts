import { setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';
import { crashPoint } from '../crash-point.ts';

/** Tells other processes, after a commit, that there is something to do. */
export type Hints = {
  /** Wakes the workers of a queue. Losing it costs at most one poll interval. */
  wake(queue: QueueName): void;
};

/** The channel on which the names of queues are published. */
export function wakeChannel(config: Pick<Config, 'REDIS_PREFIX'>): string {
  return `${config.REDIS_PREFIX}:wake`;
}

/** The pause after a publish: each one takes CPU time from Redis, this process and every worker. */
const PAUSE_MS = 5;

/**
 * Publishes hints on Redis, coalesced: the first at once, further ones together after a pause. Never throws and never
 * makes the caller wait. Without Redis it does nothing, and keeps nothing: the hints of an outage would be stale, and
 * in the way of fresh ones.
 */
export function createHints(redis: Redis | null, config: Pick<Config, 'REDIS_PREFIX'>): Hints {
  const channel = wakeChannel(config);
  const queues = new Set<string>();
  let publishing = false;

  async function publish(connection: Redis): Promise<void> {
    while (connection.status === 'ready' && queues.size > 0) {
      const publishes = Array.from(queues, (queue) => connection.publish(channel, queue));
      queues.clear();
      await Promise.allSettled(publishes); // the outage is logged by the connection
      crashPoint('after-publish');
      await setTimeout(PAUSE_MS);
    }
    queues.clear();
    publishing = false;
  }

  return {
    wake(queue) {
      if (redis?.status !== 'ready') return;
      queues.add(queue);
      if (publishing) return;
      publishing = true;
      setImmediate(() => void publish(redis)); // the client gets its answer first
    },
  };
}
