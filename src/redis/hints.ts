import type { Redis } from 'ioredis';
import type { QueueName } from '../../jobs/queues.ts';
import type { Config } from '../config.ts';
import { crashPoint } from '../crash-point.ts';

/** More changes than this between two publishes are dropped: they are hints, not the record. */
const ANNOUNCEMENTS_MAX = 1000;

type StatusChange = { id: string; status: string; version: number };

/** Tells other processes, after a commit, that something is to be done or has changed. */
export type Hints = {
  /** Wakes the workers of a queue. Losing it costs at most one poll interval. */
  wake(queue: QueueName): void;
  /** Announces orders whose status has changed. */
  announce(orders: readonly StatusChange[]): void;
};

export function wakeChannel(config: Pick<Config, 'REDIS_PREFIX'>): string {
  return `${config.REDIS_PREFIX}:wake`;
}

export function statusChannel(config: Pick<Config, 'REDIS_PREFIX'>): string {
  return `${config.REDIS_PREFIX}:order-status`;
}

/**
 * Publishes hints on Redis, coalesced: while one publish is under way, further hints collect for the
 * next. Never throws and never makes the caller wait. Without Redis it does nothing, and keeps nothing:
 * the hints of an outage would be stale, and in the way of fresh ones.
 */
export function createHints(redis: Redis | null, config: Pick<Config, 'REDIS_PREFIX'>): Hints {
  const queues = new Set<string>();
  let changes: StatusChange[] = [];
  let publishing = false;

  async function publish(connection: Redis): Promise<void> {
    publishing = true;
    while (connection.status === 'ready' && queues.size + changes.length > 0) {
      const pipeline = connection.pipeline();
      for (const queue of queues) pipeline.publish(wakeChannel(config), queue);
      if (changes.length > 0) pipeline.publish(statusChannel(config), JSON.stringify(changes));
      queues.clear();
      changes = [];
      await pipeline.exec().catch(() => undefined); // the outage is logged by the connection
      crashPoint('after-publish');
    }
    queues.clear();
    changes = [];
    publishing = false;
  }

  return {
    wake(queue) {
      if (redis?.status !== 'ready') return;
      queues.add(queue);
      if (!publishing) void publish(redis);
    },
    announce(orders) {
      if (redis?.status !== 'ready') return;
      const room = ANNOUNCEMENTS_MAX - changes.length;
      changes.push(
        ...orders.slice(0, room).map(({ id, status, version }) => ({ id, status, version })),
      );
      if (!publishing) void publish(redis);
    },
  };
}
