import type { Job, JobResult, WorkOptions } from 'pg-boss';
import type { QueueName } from '../jobs/queues.ts';
import type { Deps } from './deps.ts';

/** A lane asks for jobs when it is woken; by itself only so often, in case nobody wakes it any more. */
const OWN_POLL_SECONDS = 300;

/** What works off one queue in this process. */
export type Lanes = {
  /** There may be something to do: has one lane look, or the first that gets free. */
  wake: () => void;
  /** There is room again: goes on, if there is more to do. */
  goOn: () => void;
  /** Opens no further lane. Those that are there are for pg-boss to stop. */
  close: () => void;
};

type Lane = { id: string; busy: boolean; turn: number };

type Options = {
  work: (lane: number, jobs: Job[]) => Promise<JobResult[]>;
  /** Whether more jobs can be begun now. When that changes, `goOn`. */
  hasRoom?: (() => boolean) | undefined;
};

/**
 * Attaches lanes to a queue, each a pg-boss worker, since it is by a worker's id that it can be woken. Only
 * one looks at a time: as long as it finds a full batch there is more, and the next one is woken. There is
 * one lane at first, and another only when all are busy, up to `localConcurrency`.
 */
export async function openLanes(
  { boss, log }: Pick<Deps, 'boss' | 'log'>,
  queue: QueueName,
  { localConcurrency = 1, batchSize = 1, ...options }: WorkOptions,
  { work, hasRoom = () => true }: Options,
): Promise<Lanes> {
  const lanes: Lane[] = [];
  let more = false;
  let turns = 0;
  let opening = false;
  let closed = false;

  function wakeNext(): void {
    if (!more || closed || !hasRoom()) return;
    // Of those that are free, the one that was woken the longest ago: another may still be looking.
    const [lane] = lanes.filter(({ busy }) => !busy).sort((a, b) => a.turn - b.turn);
    if (!lane) return openAnother();
    more = false;
    lane.turn = turns += 1;
    boss.notifyWorker(lane.id);
  }

  function openAnother(): void {
    if (opening || lanes.length >= localConcurrency) return;
    more = false; // a lane looks as soon as it is there
    open().catch((err: unknown) => {
      if (!closed) log.error({ err, queue }, 'lane not opened');
    });
  }

  async function open(): Promise<void> {
    const number = lanes.length;
    const lane: Lane = { id: '', busy: false, turn: (turns += 1) };
    opening = true;
    try {
      lane.id = await boss.work<object, unknown>(
        queue,
        { ...options, batchSize, pollingIntervalSeconds: OWN_POLL_SECONDS, perJobResults: true },
        (jobs: Job[]) => run(lane, number, jobs),
      );
      lanes.push(lane);
      if (closed) await boss.offWork(queue, { id: lane.id, wait: false });
    } finally {
      opening = false;
    }
    wakeNext();
  }

  async function run(lane: Lane, number: number, jobs: Job[]): Promise<JobResult[]> {
    lane.busy = true;
    if (jobs.length >= batchSize) more = true;
    try {
      const working = work(number, jobs); // first, so that what it takes of the room is taken
      wakeNext();
      return await working;
    } finally {
      lane.busy = false;
      wakeNext();
    }
  }

  await open();
  return {
    wake() {
      more = true;
      wakeNext();
    },
    goOn: wakeNext,
    close() {
      closed = true;
    },
  };
}
