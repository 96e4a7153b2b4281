import type { Job, WorkOptions } from 'pg-boss';
import type { Payload, QueueName } from '../../jobs/queues.ts';
import type { JobOutcome } from './boss.ts';

/** How the jobs of a queue are claimed. */
export type ClaimOptions = Pick<WorkOptions, 'includeMetadata'> & {
  /** How many jobs a claim takes at most. */
  batchSize?: number;
  /** How many pollers this process opens at most. */
  pollersMax?: number;
  /** While this many jobs are in progress in this process, no poller begins a claim. */
  inProgressMax?: number;
};

/** How a worker processes the jobs of a queue. jobs/index.ts has the handler of each queue. */
export type Handler<Q extends QueueName = QueueName, J = Job<Payload<Q>>> = {
  options: ClaimOptions;
  /**
   * Processes a batch, and returns the outcome of each job. When it throws, pg-boss fails the jobs of the batch that
   * are not settled yet. It may call `ended` once for a job that has ended before the rest of its batch: another job
   * can then be claimed in its place.
   */
  work: (jobs: J[], ended: () => void) => Promise<JobOutcome[]>;
};
