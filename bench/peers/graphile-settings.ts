/*
 * The settings of Koa + graphile-worker, and where each comes from.
 *
 * API: the order and `add_job` are one statement, hence one transaction and one round trip: 607 orders/s at
 * 64 connections, where BEGIN, INSERT, SELECT add_job, COMMIT made 512. Named statements. What bounds it is
 * the NOTIFY in add_job: Postgres commits notifying transactions of a database one after the other.
 * koa-jwt: verified tokens are remembered, as those of the others are.
 *
 * Worker: the guide to performance of graphile-worker shows 24 concurrent jobs, a pool of 25, a local queue
 * of 500, and completion in batches without a delay. That drained 2760 orders/s here. A smaller pool and a
 * batch delay of 5 ms drained 3300, for three quarters of the CPU of Postgres; a delay of 20 ms, measured in
 * turns with it on a busy machine, drained 1.17 to 1.31 times as much in each of four rounds.
 */
export const TASK = 'complete-order';

/** Of 5, 10, 20 and 40 the fastest at 64 connections, if by little: 535, 626, 494 and 363 orders/s. */
export const API_POOL_SIZE = 10;

/** Of the worker: `preset.worker`. */
export const WORKER = {
  concurrentJobs: 24, // with 10: 2680 orders/s
  maxPoolSize: 10, // with 25 as fast, for more CPU
  localQueue: { size: 500 }, // with 25, `concurrentJobs + 1`: 2320
  completeJobBatchDelay: 20, // ms; with 0: 2710, with 5: 3300
  failJobBatchDelay: 5,
};
