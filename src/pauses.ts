import { sql } from 'slonik';
import { z } from 'zod';
import type { QueueName } from '../jobs/queues.ts';
import type { Deps } from './deps.ts';

/** How long a worker goes on taking jobs at most after ops.pause_queue, and waits after ops.resume_queue. */
const LOOK_INTERVAL_MS = 2_000;

type Attachment = {
  attach: (queue: QueueName) => Promise<void>;
  detach: (queue: QueueName) => Promise<void>;
};

/**
 * Keeps this process attached to those queues that nobody has paused, and to no other: now, and whenever
 * somebody pauses or resumes one. While the database cannot say, all stays as it is. Returns how to stop.
 */
export async function followPauses(
  { pool, log }: Pick<Deps, 'pool' | 'log'>,
  queues: QueueName[],
  { attach, detach }: Attachment,
): Promise<() => void> {
  const attached = new Set<QueueName>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function look(): Promise<void> {
    const paused = await readPaused({ pool });
    for (const queue of queues) {
      if (stopped || paused.has(queue) !== attached.has(queue)) continue;
      if (paused.has(queue)) {
        attached.delete(queue);
        await detach(queue);
        log.info({ queue }, 'queue paused');
      } else {
        await attach(queue);
        attached.add(queue);
      }
    }
  }

  async function keepLooking(): Promise<void> {
    await look().catch((err: unknown) => log.warn({ err }, 'paused queues not read'));
    if (!stopped) timer = setTimeout(() => void keepLooking(), LOOK_INTERVAL_MS);
  }

  await look();
  timer = setTimeout(() => void keepLooking(), LOOK_INTERVAL_MS);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

async function readPaused({ pool }: Pick<Deps, 'pool'>): Promise<Set<string>> {
  const Row = z.object({ queue: z.string() });
  const rows = await pool.any(sql.type(Row)`SELECT queue FROM paused_queues`);
  return new Set(rows.map(({ queue }) => queue));
}
