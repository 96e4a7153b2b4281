import type { Job, WorkOptions } from 'pg-boss';
import type { WorkerConfig } from '../src/config.ts';
import type { Outcome } from '../src/queue/boss.ts';
import type { WorkerDeps } from '../src/deps.ts';
import type { Payload, QueueName } from './queues.ts';

/** Works off a batch. Says for each job how it ended; throwing fails the whole batch. */
export type Handler<Q extends QueueName, J = Job<Payload<Q>>> = {
  work: (deps: WorkerDeps, jobs: J[]) => Promise<Outcome[]>;
  options: (config: WorkerConfig) => WorkOptions;
  /** Says whether more jobs can be begun, and calls back when that may have changed. Without it, always. */
  room?: (deps: WorkerDeps, onRoom: () => void) => () => boolean;
};
