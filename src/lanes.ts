import type { Job, WorkOptions } from 'pg-boss';
import type { QueueName } from '../jobs/queues.ts';
import type { Outcome } from './db/boss.ts';
import type { WorkerDeps } from './deps.ts';

/** A lane asks for jobs when it is woken; by itself only so often, in case nobody wakes it any more. */
const OWN_POLL_SECONDS = 300;

type Lane = { id: string; busy: boolean; turn: number };

type Acts = {
  work: (lane: number, jobs: Job[]) => Promise<Outcome[]>;
  /** Whether more jobs can be begun now. When that changes, `goOn`. */
  hasRoom: () => boolean;
};

/**
 * Attaches lanes to a queue, each a pg-boss worker, since it is by a worker's id that it can be woken. Only
 * one looks at a time: as long as it finds a full batch there is more, and the next one is woken. There is
 * one lane at first, and another only when all are busy, up to `localConcurrency`.
 */
export async function openLanes(
  deps: Pick<WorkerDeps, 'boss' | 'log'>,
  queue: QueueName,
  options: WorkOptions,
  act: Acts,
): Promise<Lanes> {
  const lanes = new Lanes(deps, queue, options, act);
  await lanes.open();
  return lanes;
}

/** No job has this priority. */
const PRIORITY_MAX = 2_147_483_647;

/**
 * Has pg-boss's registry say that this process works a queue off, though it claims nothing: ops.workers and
 * ops.explain_job go by the registry.
 */
export async function registerWorker({ boss }: Pick<WorkerDeps, 'boss'>, queue: QueueName) {
  await boss.work(
    queue,
    { minPriority: PRIORITY_MAX, pollingIntervalSeconds: OWN_POLL_SECONDS },
    async () => undefined,
  );
}

/** What works off one queue in this process. */
export class Lanes {
  readonly #deps: Pick<WorkerDeps, 'boss' | 'log'>;
  readonly #queue: QueueName;
  readonly #options: WorkOptions;
  readonly #act: Acts;
  readonly #lanes: Lane[] = [];
  #more = false;
  #turns = 0;
  #opening = false;
  #closed = false;

  constructor(
    deps: Pick<WorkerDeps, 'boss' | 'log'>,
    queue: QueueName,
    options: WorkOptions,
    act: Acts,
  ) {
    this.#deps = deps;
    this.#queue = queue;
    this.#options = options;
    this.#act = act;
  }

  /** There may be something to do: has one lane look, or the first that gets free. */
  wake(): void {
    this.#more = true;
    this.goOn();
  }

  /** There is room again: goes on, if there is more to do. */
  goOn(): void {
    if (!this.#more || this.#closed || !this.#act.hasRoom()) return;
    // Of those that are free, the one that was woken the longest ago: another may still be looking.
    const [lane] = this.#lanes.filter(({ busy }) => !busy).sort((a, b) => a.turn - b.turn);
    if (!lane) return this.#openAnother();
    this.#more = false;
    lane.turn = this.#turns += 1;
    this.#deps.boss.notifyWorker(lane.id);
  }

  /** Opens no further lane. Those that are there are for pg-boss to stop. */
  close(): void {
    this.#closed = true;
  }

  /** Opens one more lane, which looks as soon as it is there. */
  async open(): Promise<void> {
    const { boss } = this.#deps;
    const number = this.#lanes.length;
    const lane: Lane = { id: '', busy: false, turn: (this.#turns += 1) };
    this.#opening = true;
    try {
      lane.id = await boss.work<object, unknown>(
        this.#queue,
        {
          ...this.#options,
          localConcurrency: 1, // this one
          pollingIntervalSeconds: OWN_POLL_SECONDS,
          perJobResults: true,
        },
        (jobs: Job[]) => this.#run(lane, number, jobs),
      );
      this.#lanes.push(lane);
      if (this.#closed) await boss.offWork(this.#queue, { id: lane.id, wait: false });
    } finally {
      this.#opening = false;
    }
    this.goOn();
  }

  #openAnother(): void {
    if (this.#opening || this.#lanes.length >= (this.#options.localConcurrency ?? 1)) return;
    this.#more = false;
    this.open().catch((err: unknown) => {
      if (!this.#closed) this.#deps.log.error({ err, queue: this.#queue }, 'lane not opened');
    });
  }

  async #run(lane: Lane, number: number, jobs: Job[]): Promise<Outcome[]> {
    lane.busy = true;
    if (jobs.length >= (this.#options.batchSize ?? 1)) this.#more = true;
    try {
      const working = this.#act.work(number, [...jobs]); // first, so that what it takes of the room is taken
      this.goOn();
      const outcomes = await working;
      takeOutSettled(jobs, outcomes);
      return outcomes;
    } finally {
      lane.busy = false;
      this.goOn();
    }
  }
}

// pg-boss settles what it finds in its batch afterwards. For a job that is settled already that is a statement
// in vain, and next to a transaction that stays open a slow one: 100 ms after 200,000 other jobs.
function takeOutSettled(batch: Job[], outcomes: Outcome[]): void {
  const settled = new Set(outcomes.filter((outcome) => outcome.settled).map(({ id }) => id));
  batch.splice(0, batch.length, ...batch.filter(({ id }) => !settled.has(id)));
}
