import type { Queue } from 'pg-boss';
import { z } from 'zod';

// xact_id: the transaction that placed the order. job_xact_id: the transaction that made the job, if it is another one.
const OrderPayload = z.object({
  order_id: z.guid(),
  xact_id: z.string(),
  job_xact_id: z.string().optional(),
});

/**
 * Every queue: the payload of its jobs, and how they are retried. A dead-letter queue comes before the queues that
 * refer to it. This module imports no handler, so that any module can import it.
 */
export const queues = {
  'fail-order': queue(OrderPayload, {
    retryLimit: 100, // an order whose retries are used up must reach FAILED, also after a long outage
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
    expireInSeconds: 60,
    deleteAfterSeconds: 7 * 86_400,
    retentionSeconds: 365 * 86_400, // as below
  }),

  'process-order': queue(OrderPayload, {
    partition: true, // busy, so it gets a table of its own
    retryLimit: 12, // about 25 minutes
    retryDelay: 1, // seconds; it about doubles with each attempt
    retryBackoff: true,
    retryDelayMax: 300,
    expireInSeconds: 60,
    deleteAfterSeconds: 86_400, // the history of an order is in order_events
    retentionSeconds: 365 * 86_400, // pg-boss deletes jobs that have waited longer; no order waits for a year
    deadLetter: 'fail-order',
  }),

  // No retries: the next run checks the same orders.
  audit: queue(z.object({}), { retryLimit: 0, expireInSeconds: 900, deleteAfterSeconds: 86_400 }),

  'sign-head': queue(z.object({}), { retryLimit: 5, retryDelay: 300, expireInSeconds: 900 }),

  prune: queue(z.object({}), { retryLimit: 3, retryDelay: 60, expireInSeconds: 300 }),
};

export type QueueName = keyof typeof queues;
export type Payload<Q extends QueueName> = z.infer<(typeof queues)[Q]['payload']>;

/** The times of the scheduled jobs, in UTC. */
export const schedules: { queue: QueueName; cron: string }[] = [
  { queue: 'audit', cron: '*/5 * * * *' },
  { queue: 'prune', cron: '17 3 * * *' },
  { queue: 'sign-head', cron: '7 0 * * *' },
];

function queue<P extends z.ZodType<object>>(payload: P, options: Omit<Queue, 'name'>) {
  return { payload, options };
}
