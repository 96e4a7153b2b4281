/*
 * Consumers whose jobs are claimed by pg-boss: pollers.ts claims a batch, and `runBatch` passes it to the handler of
 * the queue (jobs/<queue>.ts), which returns the outcome of each job.
 */
import type { Job } from 'pg-boss';
import { queues, type QueueName } from '../../jobs/queues.ts';
import { crashPoint } from '../crash-point.ts';
import type { Deps, WorkerDeps } from '../deps.ts';
import type { JobOutcome } from './boss.ts';
import type { Consumer } from './consumers.ts';
import type { Handler } from './handler.ts';
import { Pollers } from './pollers.ts';
import type { RunningBatches } from './running-batches.ts';

/** The parts of a consumer with claims. */
export type Claiming = {
  deps: WorkerDeps;
  queue: QueueName;
  handler: Handler<never, never>;
  runningBatches: RunningBatches;
  /** Called when a batch begins and when it ends. */
  onWork: () => void;
};

/** Opens a consumer that claims batches while there are due jobs. It claims at once. */
export async function openClaimingConsumer(claiming: Claiming): Promise<Consumer> {
  const pollers = createPollers(claiming);
  await pollers.open();
  return pollers;
}

/** Creates a consumer that claims one batch after each `wake`, and none before the first. */
export function createFallbackConsumer(claiming: Claiming): Consumer {
  return createPollers(claiming, { oneBatchPerWake: true });
}

function createPollers(
  { deps, queue, handler, runningBatches, onWork }: Claiming,
  { oneBatchPerWake = false } = {},
): Pollers {
  const nameOf = runningBatches.namePollers(queue);
  const options = { ...handler.options, oneBatchPerWake };
  return new Pollers(deps, queue, options, async (poller, jobs, ended) => {
    onWork();
    try {
      return await runningBatches.during(queue, nameOf(poller), jobs, () =>
        runBatch(deps, queue, handler, jobs, ended),
      );
    } finally {
      onWork();
    }
  });
}

/** Passes a claimed batch to its handler. A job whose payload does not parse fails at once, without retries. */
export async function runBatch(
  { log, metrics }: Pick<Deps, 'log' | 'metrics'>,
  queue: QueueName,
  handler: Handler<never, never>,
  jobs: Job[],
  ended: () => void = () => undefined,
): Promise<JobOutcome[]> {
  crashPoint('after-claim');
  const endTimer = metrics.jobs.startTimer({ queue });
  const { payload } = queues[queue];
  const malformed = jobs.filter(({ data }) => !payload.safeParse(data).success);
  const wellFormed = jobs.filter((job) => !malformed.includes(job));
  for (const { id } of malformed) {
    log.error({ queue, job_id: id }, 'job payload is malformed');
    ended();
  }
  try {
    const outcomes = wellFormed.length > 0 ? await handler.work(wellFormed as never[], ended) : [];
    endTimer({ outcome: 'handled' });
    return [...outcomes, ...malformed.map(deadLetter)];
  } catch (err) {
    endTimer({ outcome: 'failed' });
    log.error({ err, queue, jobs: jobs.length }, 'batch failed');
    throw err;
  }
}

function deadLetter({ id }: Job): JobOutcome {
  return { id, status: 'deadletter', output: { message: 'The payload is malformed.' } };
}
