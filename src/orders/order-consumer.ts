import { createFallbackConsumer, type Claiming } from '../queue/claiming.ts';
import type { Consumer } from '../queue/consumers.ts';
import { registerWorker } from '../queue/pollers.ts';
import { createProcessLoop } from './process-loop.ts';

/**
 * Opens the consumer of process-order for workers without an external step. It processes jobs without claims
 * (process-loop.ts), and claims only those that cannot be processed that way.
 */
export async function openOrderConsumer(claiming: Claiming): Promise<Consumer> {
  const { deps, queue, onWork } = claiming;
  const { WORKER_BATCH_SIZE, WORKER_CONCURRENCY } = deps.config;
  const loop = createProcessLoop(deps, {
    batchSize: WORKER_BATCH_SIZE,
    concurrency: WORKER_CONCURRENCY,
    onWork,
    fallBack: () => fallback.wake(),
  });
  const fallback = createFallbackConsumer({
    ...claiming,
    onWork() {
      onWork();
      loop.wake();
    },
  });
  await registerWorker(deps, queue);
  loop.wake();
  return {
    wake: (dueMs) => loop.wake(dueMs),
    async close() {
      await loop.close();
      await fallback.close();
    },
  };
}
