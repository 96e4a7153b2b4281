/* The worker of Fastify + BullMQ: one UPDATE for each job, which then leaves the queue. */
import { Worker } from 'bullmq';
import { Pool } from 'pg';
import { COMPLETE_ORDER } from '../peers/orders.ts';
import { runPeer, setting } from '../peers/serving.ts';
import { QUEUE } from '../peers/bullmq-settings.ts';

await runPeer(async () => {
  const pool = new Pool({ connectionString: setting('DATABASE_URL'), max: Number(process.env.WPOOL) });
  const worker = new Worker<{ order_id: string }>(
    QUEUE,
    async (job) => {
      await pool.query({ ...COMPLETE_ORDER, values: [job.data.order_id] });
    },
    { connection: { url: setting('REDIS_URL') }, concurrency: Number(process.env.CONC) },
  );
  worker.on('error', (error) => process.stderr.write(`${error.message}\n`));
  await worker.waitUntilReady();
  return async () => {
    await worker.close();
    await pool.end();
  };
});
