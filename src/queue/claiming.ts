import type { QueueName } from '../../jobs/queues.ts';
import type { WorkerDeps } from '../deps.ts';
import type { Consumer } from './consumers.ts';
import type { Handler } from './handler.ts';
import { openPollers } from './pollers.ts';
import { runBatch } from './run-batch.ts';
import type { RunningBatches } from './running-batches.ts';

/** What a consumer with claims is made of. */
export type Claiming = {
  deps: WorkerDeps;
  queue: QueueName;
  handler: Handler<never, never>;
  runningBatches: RunningBatches;
  /** Called when a batch begins and when it ends. */
  onWork: () => void;
};

/** Opens a consumer whose jobs are claimed by pg-boss. It claims at once. */
export async function openClaimingConsumer(
  { deps, queue, handler, runningBatches, onWork }: Claiming,
  { oneBatchPerWake = false } = {},
): Promise<Consumer> {
  const names = runningBatches.namePollers(queue);
  const pollers = await openPollers(
    deps,
    queue,
    { ...handler.options, oneBatchPerWake },
    async (poller, jobs, ended) => {
      onWork();
      try {
        return await runningBatches.during(queue, names(poller), jobs, () =>
          runBatch(deps, queue, handler, jobs, ended),
        );
      } finally {
        onWork();
      }
    },
  );
  return { wake: () => pollers.wake(), close: async () => pollers.close() };
}
