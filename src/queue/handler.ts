import type { Job, WorkOptions } from 'pg-boss';
import type { Payload, QueueName } from '../../jobs/queues.ts';
import type { Outcome } from './boss.ts';

/** How the pollers of a queue claim jobs. */
export type PollerOptions = Pick<WorkOptions, 'includeMetadata'> & {
  /** Most jobs that one claim takes. */
  batchSize?: number;
  /** Most pollers in this process. */
  pollersMax?: number;
  /** No poller claims while this many jobs are in progress in this process. */
  inProgressMax?: number;
};

/** How a worker processes the jobs of a queue. */
export type Handler<Q extends QueueName = QueueName, J = Job<Payload<Q>>> = {
  options: PollerOptions;
  /**
   * Processes a batch, and returns the outcome of each job. When it throws, the whole batch fails. It may call `ended`
   * once for a job that has ended before the rest of its batch: another job can then be claimed in its place.
   */
  work: (jobs: J[], ended: () => void) => Promise<Outcome[]>;
};
