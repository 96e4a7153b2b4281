import { test } from '../test/support/context.ts';
import { createHandlers } from './index.ts';
import { queues, schedules, type QueueName } from './queues.ts';

for (const name of Object.keys(queues) as QueueName[]) {
  test(`queue ${name} exists, with the options in jobs/queues.ts, and a heartbeat`, async (t) => {
    const { boss, config } = t.context.deps;

    const queue = await boss.getQueue(name);

    t.like(queue, { name, ...queues[name].options });
    t.is(queue?.heartbeatSeconds, config.HEARTBEAT_SECONDS);
    t.is(config.HEARTBEAT_SECONDS, 10);
  });

  test(`a worker claims at most 1000 jobs of queue ${name} at once, with at most 50 pollers`, (t) => {
    const { batchSize = 1, pollersMax = 1 } = createHandlers(t.context.deps)[name].options;

    t.true(batchSize >= 1 && batchSize <= 1000);
    t.true(pollersMax >= 1 && pollersMax <= 50);
  });
}

test('a job of process-order that has used up its retries goes to fail-order, which tries at least 100 times', (t) => {
  const { 'process-order': processing, 'fail-order': failing } = queues;

  t.is(processing.options.deadLetter, 'fail-order');
  t.true((failing.options.retryLimit ?? 0) >= 100);
});

test('all schedules in jobs/queues.ts are in the database', async (t) => {
  const scheduled = await t.context.deps.boss.getSchedules();

  t.deepEqual(
    scheduled.map(({ name, cron }) => ({ queue: name, cron })),
    schedules,
  );
});
