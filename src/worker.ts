import type { Job } from 'pg-boss';
import { handlers } from '../jobs/index.ts';
import { queues, type QueueName } from '../jobs/queues.ts';
import { createWorkerApp } from './app.ts';
import { loadConfig, WorkerConfig } from './config.ts';
import { crashPoint } from './crash-point.ts';
import type { Outcome } from './db/boss.ts';
import { closeDeps, openDeps, type Deps } from './deps.ts';
import { openHolds } from './holds.ts';
import { closeServer, serve } from './http/server.ts';
import { openLanes, type Lanes } from './lanes.ts';
import { lookOut } from './lookout.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { openSubscriber } from './redis/client.ts';
import { wakeChannel } from './redis/hints.ts';

type AnyJob = Job;
type WorkAnything = (deps: Deps, jobs: AnyJob[]) => Promise<Outcome[]>;

/**
 * Attaches every handler to its queue, as long as the queue is not paused, and wakes them when Redis
 * says so, or a look at the queues. Returns how to let go.
 */
export async function startWorkers(deps: Deps): Promise<() => void> {
  const holds = await openHolds(deps);
  const lanes = new Map<string, Lanes>();
  const workedAt = new Map<QueueName, number>();
  let attachments = 0;
  const stopLooking = await lookOut(deps, Object.keys(handlers) as QueueName[], {
    async attach(queue) {
      const options = handlers[queue].options(deps.config);
      const room = handlers[queue].room?.(deps, () => lanes.get(queue)?.goOn());
      const hasRoom = room ?? (() => true);
      // Lanes from before a pause may be at work still, and have names of their own.
      const attachment = (attachments += 1);
      const work = async (lane: number, jobs: AnyJob[]) => {
        const name = `${queue}/${attachment}.${lane}`;
        workedAt.set(queue, performance.now());
        try {
          return await holds.during(queue, name, jobs, () => runBatch(deps, queue, jobs));
        } finally {
          workedAt.set(queue, performance.now());
        }
      };
      lanes.set(queue, await openLanes(deps, queue, options, { work, hasRoom }));
    },
    async detach(queue) {
      lanes.get(queue)?.close();
      lanes.delete(queue);
      await deps.boss.offWork(queue, { wait: false }); // what is in hand is finished
    },
    wake: (queue) => lanes.get(queue)?.wake(),
    workedAt: (queue) => workedAt.get(queue) ?? Number.NEGATIVE_INFINITY,
  });
  const unsubscribe = subscribe(deps, (queue) => lanes.get(queue)?.wake());
  return () => {
    stopLooking();
    for (const each of lanes.values()) each.close();
    holds.close();
    unsubscribe();
  };
}

/** Hands a batch to its handler. A job whose payload does not parse goes to the dead letters at once. */
export async function runBatch(deps: Deps, queue: QueueName, jobs: AnyJob[]): Promise<Outcome[]> {
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

function subscribe({ redis, config }: Deps, onWake: (queue: string) => void): () => void {
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
    const deps = await openDeps(config, 'worker');
    const unsubscribe = await startWorkers(deps);
    const { WORKER_PORT, HOST, SHUTDOWN_TIMEOUT_SECONDS } = config;
    const server =
      WORKER_PORT === undefined ? null : await serve(createWorkerApp(deps), WORKER_PORT, HOST);
    deps.log.info({ worker_port: WORKER_PORT }, 'worker started');
    stopOnSignal(async () => {
      deps.log.info('worker stopping');
      unsubscribe();
      await closeDeps(deps);
      if (server) await closeServer(server, SHUTDOWN_TIMEOUT_SECONDS);
      deps.log.info('worker stopped');
    }, SHUTDOWN_TIMEOUT_SECONDS);
    reportReady();
  });
}
