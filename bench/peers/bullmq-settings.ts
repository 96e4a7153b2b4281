/*
 * The settings of Fastify + BullMQ, with the source of each.
 *
 * Fastify: a JSON schema for the request and one for the reply, as its guide recommends; no logger.
 * @fastify/jwt: `cache: true`; its README says that this "dramatically" improves verification.
 * pg: named statements, so each connection plans a statement once; a pool of the default size of pg, below.
 * BullMQ: `removeOnComplete`, as its guide to auto-removal recommends. `enableAutoPipelining` of ioredis is off: the
 * maintainer of BullMQ does not expect it to work (taskforcesh/bullmq#1127), and a user whose jobs failed with it had
 * to switch it off (#457).
 * Redis: `maxmemory-policy noeviction`, which is the default, and which BullMQ requires. The production guide of
 * BullMQ recommends an append-only file that is synced every second. Here Redis writes nothing to disk. This makes the
 * contestant faster; in production a crash of Redis would lose the queue.
 */
import type { DefaultJobOptions } from 'bullmq';

export const QUEUE = 'orders';

/** The fastest of 5, 10, 20 and 40 at 64 connections: 1890, 2040, 1990 and 1670 orders/s. */
export const API_POOL_SIZE = 10;

/** As in the example of its guide. 25, 50, 100 and 200 drain at the same speed: 2340, 2400, 2370, 2340 orders/s. */
export const WORKER_CONCURRENCY = 50;

/** 20 is slower: 2120 orders/s instead of 2400. */
export const WORKER_POOL_SIZE = 10;

/** 12 attempts in about 34 minutes. The service makes 13 in about 25, with the same kind of back-off. */
export const JOB_OPTIONS: DefaultJobOptions = {
  attempts: 12,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: true,
};
