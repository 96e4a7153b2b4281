/*
 * The pollers of a queue in this process. Each claims a batch from pg-boss, processes it, and claims the next. Each is a
 * pg-boss worker of its own, because pg-boss wakes its workers by id. Only one poller looks for jobs at a time; when it
 * finds a full batch, there may be more, and it wakes the next one. At first there is one poller. Another one is opened
 * when all are busy, up to `pollersMax`.
 */
import type { Job } from 'pg-boss';
import type { QueueName } from '../../jobs/queues.ts';
import type { WorkerDeps } from '../deps.ts';
import type { Outcome } from './boss.ts';
import type { PollerOptions } from './handler.ts';

/** A poller claims when it is woken. It also polls at this interval, in case a wake-up is missed. */
const OWN_POLL_SECONDS = 300;

/** No job has this priority. */
const PRIORITY_MAX = 2_147_483_647;

type PollersDeps = Pick<WorkerDeps, 'boss' | 'log'>;

type Options = PollerOptions & {
  /** After a batch, claim no other one before the next `wake`. */
  oneBatchPerWake?: boolean;
};

/** Processes the batch of a poller; see `Handler.work`. Pollers are numbered from 0. */
type Work = (poller: number, jobs: Job[], ended: () => void) => Promise<Outcome[]>;

type Poller = { id: string; busy: boolean; turn: number };

/** Opens the first poller of a queue, which claims at once. */
export async function openPollers(
  deps: PollersDeps,
  queue: QueueName,
  options: Options,
  work: Work,
): Promise<Pollers> {
  const pollers = new Pollers(deps, queue, options, work);
  await pollers.open();
  return pollers;
}

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

/** The pollers of one queue in this process. */
export class Pollers {
  readonly #deps: PollersDeps;
  readonly #queue: QueueName;
  readonly #options: Options;
  readonly #work: Work;
  readonly #pollers: Poller[] = [];
  #more = false; // there may be jobs
  #inProgress = 0;
  #turns = 0;
  #opening = false;
  #closed = false;

  constructor(deps: PollersDeps, queue: QueueName, options: Options, work: Work) {
    this.#deps = deps;
    this.#queue = queue;
    this.#options = options;
    this.#work = work;
  }

  /** There may be jobs: a free poller claims now, or the first one that becomes free. */
  wake(): void {
    this.#more = true;
    this.#claimNext();
  }

  /** Opens no further poller. pg-boss stops the open ones. */
  close(): void {
    this.#closed = true;
  }

  /** Opens one more poller, which claims at once. */
  async open(): Promise<void> {
    const { boss } = this.#deps;
    const { batchSize, includeMetadata } = this.#options;
    const number = this.#pollers.length;
    const poller: Poller = { id: '', busy: false, turn: (this.#turns += 1) };
    this.#opening = true;
    try {
      poller.id = await boss.work<object, unknown>(
        this.#queue,
        {
          ...(batchSize !== undefined && { batchSize }),
          ...(includeMetadata !== undefined && { includeMetadata }),
          localConcurrency: 1, // a poller runs one batch at a time
          pollingIntervalSeconds: OWN_POLL_SECONDS,
          perJobResults: true,
        },
        (jobs: Job[]) => this.#run(poller, number, jobs),
      );
      this.#pollers.push(poller);
      if (this.#closed) await boss.offWork(this.#queue, { id: poller.id, wait: false });
    } finally {
      this.#opening = false;
    }
    this.#claimNext();
  }

  /** Wakes the next poller if there may be jobs and not too many are in progress. */
  #claimNext(): void {
    const { inProgressMax = Infinity } = this.#options;
    if (!this.#more || this.#closed || this.#inProgress >= inProgressMax) return;
    // The free poller that was woken the longest ago: one that was woken later may still be claiming.
    const [poller] = this.#pollers.filter(({ busy }) => !busy).sort((a, b) => a.turn - b.turn);
    if (!poller) return this.#openAnother();
    this.#more = false;
    poller.turn = this.#turns += 1;
    this.#deps.boss.notifyWorker(poller.id);
  }

  #openAnother(): void {
    const { pollersMax = 1 } = this.#options;
    if (this.#opening || this.#pollers.length >= pollersMax) return;
    this.#more = false;
    this.open().catch((err: unknown) => {
      if (!this.#closed) this.#deps.log.error({ err, queue: this.#queue }, 'poller not opened');
    });
  }

  async #run(poller: Poller, number: number, jobs: Job[]): Promise<Outcome[]> {
    const { batchSize = 1, oneBatchPerWake = false } = this.#options;
    let left = jobs.length;
    const end = (count: number) => {
      const ended = Math.min(count, left);
      left -= ended;
      this.#inProgress -= ended;
      this.#claimNext();
    };
    poller.busy = true;
    this.#inProgress += left;
    if (jobs.length >= batchSize && !oneBatchPerWake) this.#more = true;
    try {
      const working = this.#work(number, [...jobs], () => end(1));
      this.#claimNext();
      const outcomes = await working;
      takeOutSettled(jobs, outcomes);
      return outcomes;
    } finally {
      poller.busy = false;
      end(left);
    }
  }
}

// pg-boss settles the jobs that are left in its batch array afterwards. For a job that is settled already, that
// statement has no effect, and it is slow while another transaction stays open: 100 ms after 200,000 other jobs.
function takeOutSettled(batch: Job[], outcomes: Outcome[]): void {
  const settled = new Set(outcomes.filter((outcome) => outcome.settled).map(({ id }) => id));
  batch.splice(0, batch.length, ...batch.filter(({ id }) => !settled.has(id)));
}
