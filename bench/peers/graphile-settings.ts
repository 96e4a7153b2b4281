/*
 * The settings of Koa + graphile-worker, with the source of each.
 *
 * API: the order and `add_job` are one statement, so one transaction and one round trip: 607 orders/s at 64
 * connections; BEGIN, INSERT, SELECT add_job and COMMIT reached 512. Named statements. The limit is the NOTIFY in
 * add_job: Postgres commits transactions with NOTIFY one after the other. koa-jwt: verified tokens are remembered, as
 * in the other APIs.
 *
 * Worker: the performance guide of graphile-worker shows 24 concurrent jobs, a pool of 25, a local queue of 500, and
 * completion in batches without a delay. That drained 2760 orders/s here. A smaller pool and a batch delay of 5 ms
 * drained 3300, with three quarters of the CPU time of Postgres. A delay of 20 ms, measured in turns with 5 ms on a
 * busy machine, drained 1.17 to 1.31 times as many orders in each of four rounds.
 */

/** The name of the jobs. */
export const TASK = 'complete-order';

/** The fastest of 5, 10, 20 and 40 at 64 connections: 535, 626, 494 and 363 orders/s. */
export const API_POOL_SIZE = 10;

/** The settings of the worker, as `preset.worker`. */
export const WORKER = {
  concurrentJobs: 24, // with 10, it drained 2680 orders/s
  maxPoolSize: 10, // with 25, it is as fast, but takes more CPU
  localQueue: { size: 500 }, // with 25, which is `concurrentJobs + 1`, it drained 2320 orders/s
  completeJobBatchDelay: 20, // ms. With 0, it drained 2710 orders/s, with 5 3300
  failJobBatchDelay: 5,
};
