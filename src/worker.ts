import { createHandlers } from '../jobs/index.ts';
import { queues, type QueueName } from '../jobs/queues.ts';
import { createWorkerApp } from './app.ts';
import { loadConfig, WorkerConfig } from './config.ts';
import { closeDeps, openDeps, type WorkerDeps } from './deps.ts';
import { closeServer, serve } from './http/server.ts';
import { openOrderConsumer } from './orders/order-consumer.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { createQueue, prepareQueueStats } from './queue/boss.ts';
import { openClaimingConsumer } from './queue/claiming.ts';
import { Consumers } from './queue/consumers.ts';
import { openRunningBatches } from './queue/running-batches.ts';
import { watchQueues } from './queue/watcher.ts';
import { onWakeUp } from './redis/wake-ups.ts';

/**
 * Processes every queue that is not paused. Wake-ups on Redis and the watcher wake the consumers. Returns a function
 * that stops them, and resolves when the batches without claims have ended. `boss.stop` waits for claimed batches.
 */
export async function startConsumers(deps: WorkerDeps): Promise<() => Promise<void>> {
  await prepareQueueStats(deps);
  const handlers = createHandlers(deps);
  const runningBatches = await openRunningBatches(deps);
  const consumers = new Consumers(deps, (queue, onWork) => {
    const isWithoutClaims = queue === 'process-order' && !deps.config.FULFILMENT_URL;
    const open = isWithoutClaims ? openOrderConsumer : openClaimingConsumer;
    return open({ deps, queue, handler: handlers[queue], runningBatches, onWork });
  });
  const stopWatching = await watchQueues(deps, Object.keys(queues) as QueueName[], consumers);
  const unsubscribe = onWakeUp(deps.redis, deps.config, (queue) => consumers.wake(queue));
  return async () => {
    stopWatching();
    unsubscribe();
    runningBatches.close();
    await consumers.close();
  };
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(WorkerConfig);
    const { WORKER_PORT, HOST, SHUTDOWN_TIMEOUT_SECONDS } = config;
    const base = await openDeps(config, 'worker');
    const queue = createQueue(config, base.log);
    await queue.boss.start();
    const deps = { ...base, boss: queue.boss };
    const stop = await startConsumers(deps);
    const server =
      WORKER_PORT === undefined ? null : await serve(createWorkerApp(deps), WORKER_PORT, HOST);
    stopOnSignal(async () => {
      deps.log.info('worker stopping');
      await stop();
      await queue.close(SHUTDOWN_TIMEOUT_SECONDS); // claimed jobs end, or are returned to the queue at the timeout
      await closeDeps(deps);
      if (server) await closeServer(server, SHUTDOWN_TIMEOUT_SECONDS);
      deps.log.info('worker stopped');
    }, SHUTDOWN_TIMEOUT_SECONDS);
    deps.log.info({ worker_port: WORKER_PORT }, 'worker started');
    reportReady();
  });
}
