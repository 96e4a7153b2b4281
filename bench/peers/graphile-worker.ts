/* The worker of Koa + graphile-worker: one UPDATE for each job, and completion of jobs in batches. */
import { Logger, run, WorkerPreset } from 'graphile-worker';
import { TASK, WORKER } from './graphile-settings.ts';
import { COMPLETE_ORDER } from './orders.ts';
import { runPeer, setting } from './serving.ts';

// The default logger writes two lines for each job.
const logger = new Logger(() => (level, message) => {
  if (level === 'error' || level === 'warning') process.stderr.write(`${message}\n`);
});

await runPeer(async () => {
  const runner = await run({
    preset: {
      extends: [WorkerPreset],
      worker: { connectionString: setting('DATABASE_URL'), logger, ...WORKER },
    },
    noHandleSignals: true,
    taskList: {
      async [TASK](payload, { withPgClient }) {
        const { order_id } = payload as { order_id: string };
        await withPgClient((client) => client.query({ ...COMPLETE_ORDER, values: [order_id] }));
      },
    },
  });
  return () => runner.stop();
});
