import type { Job } from 'pg-boss';
import { handlers } from '../jobs/index.ts';
import { queues, type QueueName } from '../jobs/queues.ts';
import { createWorkerApp } from './app.ts';
import { loadConfig, WorkerConfig } from './config.ts';
import { crashPoint } from './crash-point.ts';
import { createQueue, prepareQueueStats, type Outcome } from './queue/boss.ts';
import { closeDeps, openDeps, type WorkerDeps } from './deps.ts';
import { openHolds, type Holds } from './queue/running-batches.ts';
import { closeServer, serve } from './http/server.ts';
import { openLanes, registerWorker, type Lanes } from './queue/pollers.ts';
import { lookOut } from './queue/watcher.ts';
import { createProcessLoop } from './orders/process-loop.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { openSubscriber } from './redis/client.ts';
import { wakeChannel } from './redis/wake-ups.ts';

type AnyJob = Job;
type WorkAnything = (deps: WorkerDeps, jobs: AnyJob[]) => Promise<Outcome[]>;

/** This process's workers of one queue. They exist while the queue is not paused. */
type Attached = { wake: (dueMs?: number) => void; close: () => Promise<void> };

/** When this process last began or ended work on each queue, by performance.now(). */
type WorkedAt = Map<QueueName, number>;

/**
 * Attaches this process to every queue that is not paused. Redis and the look-out (watcher.ts) wake the workers.
 * Returns a function that stops them. It resolves when no batch without a claim is in progress; `boss.stop` waits for
 * the claimed ones.
 */
export async function startWorkers(deps: WorkerDeps): Promise<() => Promise<void>> {
  await prepareQueueStats(deps);
  const holds = await openHolds(deps);
  const attached = new Map<string, Attached>();
  const workedAt: WorkedAt = new Map();
  const stopLooking = await lookOut(deps, Object.keys(handlers) as QueueName[], {
    async attach(queue) {
      const isUnclaimed = queue === 'process-order' && !deps.config.FULFILMENT_URL;
      const attach = isUnclaimed ? attachUnclaimed : attachClaimed;
      attached.set(queue, await attach(deps, queue, holds, workedAt));
    },
    async detach(queue) {
      const closing = attached.get(queue)?.close();
      attached.delete(queue);
      await deps.boss.offWork(queue, { wait: false }); // jobs that are claimed already are finished
      await closing;
    },
    wake: (queue, dueMs) => attached.get(queue)?.wake(dueMs),
    workedAt: (queue) => workedAt.get(queue) ?? Number.NEGATIVE_INFINITY,
  });
  const unsubscribe = subscribe(deps, (queue) => attached.get(queue)?.wake());
  return async () => {
    stopLooking();
    unsubscribe();
    holds.close();
    await Promise.all(Array.from(attached.values(), ({ close }) => close()));
  };
}

/** Counts attachments, so that lanes from before a pause, which may still be running, keep different names. */
let attachments = 0;

/** Processes a queue with jobs that pg-boss claims. */
async function attachClaimed(
  deps: WorkerDeps,
  queue: QueueName,
  holds: Holds,
  workedAt: WorkedAt,
  hasRoom?: () => boolean,
  onWorked?: () => void,
): Promise<Attached> {
  const options = handlers[queue].options(deps.config);
  const attachment = (attachments += 1);
  const work = async (lane: number, jobs: AnyJob[]) => {
    const name = `${queue}/${attachment}.${lane}`;
    workedAt.set(queue, performance.now());
    try {
      return await holds.during(queue, name, jobs, () => runBatch(deps, queue, jobs));
    } finally {
      workedAt.set(queue, performance.now());
      onWorked?.();
    }
  };
  let lanes: Lanes | undefined;
  const room = hasRoom ?? handlers[queue].room?.(deps, () => lanes?.goOn()) ?? (() => true);
  lanes = await openLanes(deps, queue, options, { work, hasRoom: room });
  return { wake: () => lanes.wake(), close: async () => lanes.close() };
}

/** Processes process-order without claims. Claims only the jobs that this way cannot process. */
async function attachUnclaimed(
  deps: WorkerDeps,
  queue: QueueName,
  holds: Holds,
  workedAt: WorkedAt,
): Promise<Attached> {
  const { WORKER_BATCH_SIZE, WORKER_CONCURRENCY } = deps.config;
  let isClaiming = false;
  let claimed: Promise<Attached> | undefined; // opened at the first fallBack, because opening it makes a claim
  const loop = createProcessLoop(deps, {
    batchSize: WORKER_BATCH_SIZE,
    concurrency: WORKER_CONCURRENCY,
    onWork: () => workedAt.set(queue, performance.now()),
    fallBack() {
      isClaiming = true;
      const hasRoom = () => isClaiming;
      const onWorked = () => {
        isClaiming = false;
        loop.wake();
      };
      if (claimed) void claimed.then(({ wake }) => wake());
      else claimed = attachClaimed(deps, queue, holds, workedAt, hasRoom, onWorked);
      claimed.catch((err: unknown) => deps.log.error({ err, queue }, 'jobs not claimed'));
    },
  });
  await registerWorker(deps, queue);
  loop.wake();
  return {
    wake: (dueMs) => loop.wake(dueMs),
    async close() {
      await loop.close();
      await (await claimed)?.close();
    },
  };
}

/** Passes a batch to its handler. A job whose payload does not parse becomes a dead letter at once. */
export async function runBatch(
  deps: WorkerDeps,
  queue: QueueName,
  jobs: AnyJob[],
): Promise<Outcome[]> {
  crashPoint('after-claim');
  const log = deps.log.child({ queue });
  const endTimer = deps.metrics.jobs.startTimer({ queue });
  const { payload } = queues[queue];
  const malformed = jobs.filter(({ data }) => !payload.safeParse(data).success);
  const wellFormed = jobs.filter((job) => !malformed.includes(job));
  for (const { id } of malformed) log.error({ job_id: id }, 'job payload is malformed');
  try {
    const work = handlers[queue].work as WorkAnything;
    const results = wellFormed.length > 0 ? await work({ ...deps, log }, wellFormed) : [];
    endTimer({ outcome: 'handled' });
    return [...results, ...malformed.map(deadLetter)];
  } catch (err) {
    endTimer({ outcome: 'failed' });
    log.error({ err, jobs: jobs.length }, 'batch failed');
    throw err;
  }
}

function deadLetter({ id }: AnyJob): Outcome {
  return { id, status: 'deadletter', output: { message: 'The payload is malformed.' } };
}

function subscribe({ redis, config }: WorkerDeps, onWake: (queue: string) => void): () => void {
  if (!redis) return () => undefined;
  const subscriber = openSubscriber(redis, (connection) =>
    connection.subscribe(wakeChannel(config)),
  );
  subscriber.on('message', (_channel, queue) => onWake(queue));
  return () => subscriber.disconnect();
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(WorkerConfig);
    const { WORKER_PORT, HOST, SHUTDOWN_TIMEOUT_SECONDS } = config;
    const base = await openDeps(config, 'worker');
    const queue = createQueue(config, base.log);
    await queue.boss.start();
    const deps = { ...base, boss: queue.boss };
    const stop = await startWorkers(deps);
    const server =
      WORKER_PORT === undefined ? null : await serve(createWorkerApp(deps), WORKER_PORT, HOST);
    stopOnSignal(async () => {
      deps.log.info('worker stopping');
      await stop();
      await queue.close(SHUTDOWN_TIMEOUT_SECONDS); // claimed jobs are finished, or returned at the timeout
      await closeDeps(deps);
      if (server) await closeServer(server, SHUTDOWN_TIMEOUT_SECONDS);
      deps.log.info('worker stopped');
    }, SHUTDOWN_TIMEOUT_SECONDS);
    deps.log.info({ worker_port: WORKER_PORT }, 'worker started');
    reportReady();
  });
}
