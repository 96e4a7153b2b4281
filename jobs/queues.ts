import type { Queue } from 'pg-boss';
import { z } from 'zod';

// xact_id: the transaction that placed the order. job_xact_id: the one that made the job, when that is another one.
const OrderJob = z.object({
  order_id: z.guid(),
  xact_id: z.string(),
  job_xact_id: z.string().optional(),
});

/**
 * Every queue: what a job carries and how it is retried. A leaf module, so that domain functions can
 * enqueue without importing handlers. Dead-letter queues come first; the others refer to them.
 */
export const queues = {
  'fail-order': queue(OrderJob, {
    retryLimit: 100, // an order whose retries are used up must reach FAILED, also after a long outage
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: 60,
    expireInSeconds: 60,
    deleteAfterSeconds: 7 * 86_400,
    retentionSeconds: 365 * 86_400, // as below
  }),

  'process-order': queue(OrderJob, {
    partition: true, // a hot queue gets a table of its own
    retryLimit: 12, // about 20 minutes
    retryDelay: 1, // seconds; about doubles with each try
    retryBackoff: true,
    retryDelayMax: 300,
    expireInSeconds: 60,
    deleteAfterSeconds: 86_400, // the history of an order is in order_events
    retentionSeconds: 365 * 86_400, // pg-boss deletes jobs that waited longer: no order waits a year
    deadLetter: 'fail-order',
  }),

  // A run that failed is made up for by the next one.
  audit: queue(z.object({}), { retryLimit: 0, expireInSeconds: 900, deleteAfterSeconds: 86_400 }),

  'sign-head': queue(z.object({}), { retryLimit: 5, retryDelay: 300, expireInSeconds: 900 }),

  prune: queue(z.object({}), { retryLimit: 3, retryDelay: 60, expireInSeconds: 300 }),
};

export type QueueName = keyof typeof queues;
export type Payload<Q extends QueueName> = z.infer<(typeof queues)[Q]['payload']>;

/** Jobs that run by the clock (UTC). */
export const schedules: { queue: QueueName; cron: string }[] = [
  { queue: 'audit', cron: '*/5 * * * *' },
  { queue: 'prune', cron: '17 3 * * *' },
  { queue: 'sign-head', cron: '7 0 * * *' },
];

function queue<P extends z.ZodType<object>>(payload: P, options: Omit<Queue, 'name'>) {
  return { payload, options };
}
