/*
 * The settings of Fastify + BullMQ, and where each comes from.
 */
import type { DefaultJobOptions } from 'bullmq';

export const QUEUE = 'orders';

export const API_POOL_SIZE = 10;

export const WORKER_CONCURRENCY = 50;
export const WORKER_POOL_SIZE = 20;

export const JOB_OPTIONS: DefaultJobOptions = {
  attempts: 12,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: true,
};
