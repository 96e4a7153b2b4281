import type { Job, WorkOptions } from 'pg-boss';
import type { QueueName } from '../../jobs/queues.ts';
import type { Outcome } from './boss.ts';
import type { WorkerDeps } from '../deps.ts';

/** A lane asks for jobs when it is woken. It also polls at this interval, in case a wake is missed. */
const OWN_POLL_SECONDS = 300;

type Lane = { id: string; busy: boolean; turn: number };

type Acts = {
  work: (lane: number, jobs: Job[]) => Promise<Outcome[]>;
  /** Whether more jobs can begin now. The owner calls `goOn` when that changes. */
  hasRoom: () => boolean;
};

/**
 * Attaches lanes to a queue. Each lane is a pg-boss worker of its own, because pg-boss wakes workers by id. Only one
 * lane looks for jobs at a time; when it finds a full batch, there may be more, and it wakes the next lane. There is
 * one lane at first. Another is opened when all are busy, up to `localConcurrency`.
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
 * Registers this process with pg-boss as a worker of a queue, without claiming any job: ops.workers and ops.explain_job
 * read the registry.
 */
export async function registerWorker({ boss }: Pick<WorkerDeps, 'boss'>, queue: QueueName) {
  await boss.work(
    queue,
    { minPriority: PRIORITY_MAX, pollingIntervalSeconds: OWN_POLL_SECONDS },
    async () => undefined,
  );
}

/** The lanes of one queue in this process. */
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

  /** There may be jobs: lets a free lane look for them, or the first lane that becomes free. */
  wake(): void {
    this.#more = true;
    this.goOn();
  }

  /** Wakes the next lane if there may be jobs and there is room for them. */
  goOn(): void {
    if (!this.#more || this.#closed || !this.#act.hasRoom()) return;
    // The free lane that was woken the longest ago: one that was woken later may still be looking.
    const [lane] = this.#lanes.filter(({ busy }) => !busy).sort((a, b) => a.turn - b.turn);
    if (!lane) return this.#openAnother();
    this.#more = false;
    lane.turn = this.#turns += 1;
    this.#deps.boss.notifyWorker(lane.id);
  }

  /** Opens no further lanes. pg-boss stops the open ones. */
  close(): void {
    this.#closed = true;
  }

  /** Opens one more lane, which looks for jobs as soon as it is open. */
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
          localConcurrency: 1, // a lane runs one batch at a time
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
      const working = this.#act.work(number, [...jobs]); // before goOn, so that hasRoom counts these jobs
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

// pg-boss settles the jobs that are left in its batch array afterwards. For a job that is settled already, that
// statement has no effect, and it is slow while another transaction stays open: 100 ms after 200,000 other jobs.
function takeOutSettled(batch: Job[], outcomes: Outcome[]): void {
  const settled = new Set(outcomes.filter((outcome) => outcome.settled).map(({ id }) => id));
  batch.splice(0, batch.length, ...batch.filter(({ id }) => !settled.has(id)));
}
