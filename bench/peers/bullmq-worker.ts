/* The worker of Fastify + BullMQ: one UPDATE for each job. A completed job is removed from the queue. */
import { Worker } from 'bullmq';
import { Pool } from 'pg';
import { COMPLETE_ORDER } from './orders.ts';
import { runPeer, setting } from './serving.ts';
import { QUEUE, WORKER_CONCURRENCY, WORKER_POOL_SIZE } from './bullmq-settings.ts';

await runPeer(async () => {
  const pool = new Pool({ connectionString: setting('DATABASE_URL'), max: WORKER_POOL_SIZE });
  const worker = new Worker<{ order_id: string }>(
    QUEUE,
    async (job) => {
      await pool.query({ ...COMPLETE_ORDER, values: [job.data.order_id] });
    },
    { connection: { url: setting('REDIS_URL') }, concurrency: WORKER_CONCURRENCY },
  );
  worker.on('error', (error) => process.stderr.write(`${error.message}\n`));
  await worker.waitUntilReady();
  return async () => {
    await worker.close();
    await pool.end();
  };
});
