import { isDeepStrictEqual } from 'node:util';
import { PgBoss, type Db } from 'pg-boss';
import type { Client } from 'pg';
import { queues, schedules } from '../../../jobs/queues.ts';
import { withoutTransaction } from './queue-schema.ts';

/** The queue through which pg-boss sends scheduled jobs. Created here, because workers may not create queues. */
const SCHEDULER_QUEUE = '__pgboss__send-it';

/**
 * Updates queues and schedules to match jobs/queues.ts, inside the caller's transaction. Writes only differences. Keeps
 * queues and schedules that the file no longer has.
 */
export async function updateQueues(
  client: Client,
  { heartbeatSeconds }: { heartbeatSeconds: number },
): Promise<void> {
  // This instance is never started. It only runs statements over the client.
  const boss = new PgBoss({ db: asDb(client), migrate: false, supervise: false, schedule: false });
  const wanted = Object.entries(queues);
  const names = [SCHEDULER_QUEUE, ...wanted.map(([name]) => name)];
  const present = new Map((await boss.getQueues(names)).map((queue) => [queue.name, queue]));
  if (!present.has(SCHEDULER_QUEUE)) await boss.createQueue(SCHEDULER_QUEUE);
  for (const [name, { options }] of wanted) {
    const { partition, ...settings } = { partition: false, ...options, heartbeatSeconds };
    const queue = present.get(name);
    if (queue === undefined) await boss.createQueue(name, { partition });
    if (queue === undefined || !has(queue, settings)) await boss.updateQueue(name, settings);
  }
  for (const { queue, cron } of schedules) {
    const schedule = await boss.getSchedule(queue);
    if (schedule && has(schedule, { cron, timezone: 'UTC', data: {}, options: {} })) continue;
    await boss.schedule(queue, cron, {});
  }
}

function has(row: object, settings: object): boolean {
  const present = new Map(Object.entries(row));
  return Object.entries(settings).every(([name, value]) =>
    isDeepStrictEqual(present.get(name) ?? null, value),
  );
}

function asDb(client: Client): Db {
  return {
    async executeSql(text, values = []) {
      if (values.length > 0) return client.query(text, values);
      const result: { rows: unknown[] } = await client.query(withoutTransaction(text));
      return { rows: result.rows };
    },
  };
}
