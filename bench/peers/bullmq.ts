import type { Queue } from 'bullmq';
import type { QueueContestant } from '../contestant.ts';
import type { Machine } from '../machine.ts';
import { JOB_OPTIONS, QUEUE } from './bullmq-settings.ts';
import { openPeer, peerRequest, placeInBulk } from './orders.ts';

const NAME = 'Fastify + BullMQ';
const DATABASE = 'bullmq';
const CHUNK_JOBS = 1000;

async function withQueue<Result>(
  machine: Machine,
  use: (queue: Queue<{ order_id: string }>) => Promise<Result>,
): Promise<Result> {
  const bullmqPackage = await import('bullmq'); // here, so that tests need no packages of the bench
  const queue = new bullmqPackage.Queue<{ order_id: string }>(QUEUE, {
    connection: { url: machine.redisUrl },
    defaultJobOptions: JOB_OPTIONS,
  });
  try {
    return await use(queue);
  } finally {
    await queue.close();
  }
}

async function addInBulk(queue: Queue<{ order_id: string }>, ids: string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += CHUNK_JOBS) {
    const chunk = ids.slice(from, from + CHUNK_JOBS);
    await queue.addBulk(chunk.map((order_id) => ({ name: 'complete-order', data: { order_id } })));
  }
}

/** The most common design: order in the database, job in Redis. Not transactional. */
export const bullmq: QueueContestant = {
  name: NAME,
  database: DATABASE,
  async api(machine) {
    const env = await openPeer(machine, DATABASE);
    const api = await machine.start(`${NAME}, API`, 'bench/peers/bullmq-api.ts', env);
    return { ...api, ...peerRequest() };
  },
  async worker(machine) {
    const env = await openPeer(machine, DATABASE);
    return machine.start(`${NAME}, worker`, 'bench/peers/bullmq-worker.ts', env);
  },
  async fill(machine, orders) {
    await openPeer(machine, DATABASE);
    await withQueue(machine, (queue) => queue.pause());
    const commit = await placeInBulk(machine, DATABASE, orders, (_db, ids) =>
      withQueue(machine, (queue) => addInBulk(queue, ids)),
    );
    await commit();
    return () => withQueue(machine, (queue) => queue.resume());
  },
  left: (machine) =>
    withQueue(machine, (queue) => queue.getJobCountByTypes('wait', 'active', 'delayed')),
  async clear(machine) {
    await openPeer(machine, DATABASE);
    await machine.query('TRUNCATE orders', DATABASE);
    await withQueue(machine, (queue) => queue.obliterate({ force: true }));
  },
};
