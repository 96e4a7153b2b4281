import { test } from '../test/support/context.ts';
import { createHandler } from './index.ts';
import { queues, schedules, type QueueName } from './queues.ts';

for (const name of Object.keys(queues) as QueueName[]) {
  test(`queue ${name} is there, with the retries that its file says, and a heartbeat`, async (t) => {
    const { boss, config } = t.context.deps;

    const queue = await boss.getQueue(name);

    t.like(queue, { name, ...queues[name].options });
    t.is(queue?.heartbeatSeconds, config.HEARTBEAT_SECONDS);
    t.is(config.HEARTBEAT_SECONDS, 10);
  });

  test(`jobs of queue ${name} are handled in batches that a worker can hold`, (t) => {
    const { batchSize = 1, pollersMax = 1 } = createHandler(t.context.deps, name).options;

    t.true(batchSize >= 1 && batchSize <= 1000);
    t.true(pollersMax >= 1 && pollersMax <= 50);
  });
}

test('an order whose job has used up its retries goes to fail-order, which tries for long', (t) => {
  const { 'process-order': processing, 'fail-order': failing } = queues;

  t.is(processing.options.deadLetter, 'fail-order');
  t.true((failing.options.retryLimit ?? 0) >= 100);
});

test('everything that runs by the clock is scheduled', async (t) => {
  const scheduled = await t.context.deps.boss.getSchedules();

  t.deepEqual(
    scheduled.map(({ name, cron }) => ({ queue: name, cron })),
    schedules,
  );
});
