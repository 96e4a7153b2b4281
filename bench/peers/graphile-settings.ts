/*
 * The settings of Koa + graphile-worker, and where each comes from.
 */
export const TASK = 'complete-order';

export const API_POOL_SIZE = 10;

/** Of the worker: `preset.worker`. */
export const WORKER = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
