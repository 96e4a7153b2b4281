import { createHandlers } from '../jobs/index.ts';
import { queues, type QueueName } from '../jobs/queues.ts';
import { WorkerConfig } from './config.ts';
import { loadConfig } from './config/load.ts';
import { closeDeps, openDeps, type WorkerDeps } from './deps.ts';
import { createHealth } from './health/health.ts';
import { closeInternal, serveInternal } from './health/listener.ts';
import { openOrderConsumer } from './orders/order-consumer.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { createQueue, prepareQueueStats } from './queue/boss.ts';
import { openClaimingConsumer } from './queue/claiming.ts';
import { Consumers } from './queue/consumers.ts';
import { openRunningBatches } from './queue/running-batches.ts';
import { watchQueues } from './queue/watcher.ts';
import { onWakeUp } from './redis/wake-ups.ts';

/**
 * Processes every queue that is not paused. Wake-ups on Redis and the watcher wake the consumers. The returned `stop`
 * waits for batches without a claim; `boss.stop` waits for claimed batches. `stuckQueues` is that of the watcher.
 */
export async function startConsumers(
  deps: WorkerDeps,
): Promise<{ stop: () => Promise<void>; stuckQueues: () => string[] }> {
  await prepareQueueStats(deps);
  const handlers = createHandlers(deps);
  const runningBatches = await openRunningBatches(deps);
  const consumers = new Consumers(deps, (queue, onWork) => {
    const isWithoutClaims = queue === 'process-order' && !deps.config.FULFILMENT_URL;
    const open = isWithoutClaims ? openOrderConsumer : openClaimingConsumer;
    return open({ deps, queue, handler: handlers[queue], runningBatches, onWork });
  });
  const watcher = await watchQueues(deps, Object.keys(queues) as QueueName[], consumers);
  const unsubscribe = onWakeUp(deps.redis, deps.config, (queue) => consumers.wake(queue));
  return {
    async stop() {
      watcher.stop();
      unsubscribe();
      runningBatches.close();
      await consumers.close();
    },
    stuckQueues: watcher.stuckQueues,
  };
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(WorkerConfig);
    const { SHUTDOWN_TIMEOUT_SECONDS } = config;
    const base = await openDeps(config, 'worker');
    const queue = createQueue(config, base.log);
    await queue.boss.start();
    const deps = { ...base, boss: queue.boss };
    const consumers = await startConsumers(deps);
    const health = createHealth(deps, { consumers });
    const internal = await serveInternal({ ...deps, health });
    health.start();
    stopOnSignal(async () => {
      deps.log.info('worker stopping');
      deps.stopping.abort(); // /readyz answers 503
      await consumers.stop();
      await queue.close(SHUTDOWN_TIMEOUT_SECONDS); // claimed jobs end, or are returned to the queue at the timeout
      await closeInternal(internal);
      await closeDeps(deps);
      deps.log.info('worker stopped');
    }, SHUTDOWN_TIMEOUT_SECONDS);
    deps.log.info('worker started');
    reportReady();
  });
}
