import type { Job } from 'pg-boss';
import { queues, type QueueName } from '../../jobs/queues.ts';
import { crashPoint } from '../crash-point.ts';
import type { Deps } from '../deps.ts';
import type { Outcome } from './boss.ts';
import type { Handler } from './handler.ts';

/** Passes a claimed batch to its handler. A job whose payload does not parse becomes a dead letter at once. */
export async function runBatch(
  { log, metrics }: Pick<Deps, 'log' | 'metrics'>,
  queue: QueueName,
  handler: Handler<never, never>,
  jobs: Job[],
  ended: () => void = () => undefined,
): Promise<Outcome[]> {
  crashPoint('after-claim');
  const endTimer = metrics.jobs.startTimer({ queue });
  const { payload } = queues[queue];
  const malformed = jobs.filter(({ data }) => !payload.safeParse(data).success);
  const wellFormed = jobs.filter((job) => !malformed.includes(job));
  for (const { id } of malformed) log.error({ queue, job_id: id }, 'job payload is malformed');
  try {
    const results = wellFormed.length > 0 ? await handler.work(wellFormed as never[], ended) : [];
    endTimer({ outcome: 'handled' });
    return [...results, ...malformed.map(deadLetter)];
  } catch (err) {
    endTimer({ outcome: 'failed' });
    log.error({ err, queue, jobs: jobs.length }, 'batch failed');
    throw err;
  }
}

function deadLetter({ id }: Job): Outcome {
  return { id, status: 'deadletter', output: { message: 'The payload is malformed.' } };
}
