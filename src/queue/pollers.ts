/*
 * The pollers of a queue in this process. Each is a pg-boss worker of its own, because pg-boss wakes its workers by id.
 * A poller that is woken claims a batch from pg-boss, and processes it. After a full batch there may be more jobs, so
 * it wakes the next free poller, except with `oneBatchPerWake`. The first poller is opened by `open` or by the first
 * `wake`. Another one is opened when all are busy, up to `pollersMax`.
 */
import type { Job } from 'pg-boss';
import type { QueueName } from '../../jobs/queues.ts';
import type { WorkerDeps } from '../deps.ts';
import type { JobOutcome } from './boss.ts';
import type { Consumer } from './consumers.ts';
import type { ClaimOptions } from './handler.ts';

/** A poller also claims at this interval, in case a `wake` is missed. */
const OWN_POLL_SECONDS = 300;

/** No job has this priority, so pg-boss never finds a job for a worker with this minimum. */
const PRIORITY_MAX = 2_147_483_647;

type PollersDeps = Pick<WorkerDeps, 'boss' | 'log'>;

type PollersOptions = ClaimOptions & {
  /** After a batch, claim no other one before the next `wake`. */
  oneBatchPerWake?: boolean;
};

/** Processes the batch of a poller; see `Handler.work`. Pollers are numbered from 0. */
type Work = (poller: number, jobs: Job[], ended: () => void) => Promise<JobOutcome[]>;

/** `turn`: the number of the last wake or open; the poller with the lowest was woken the longest ago. */
type Poller = { id: string; busy: boolean; turn: number };

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

/** The pollers of one queue in this process. There is none before the first `open` or `wake`. */
export class Pollers implements Consumer {
  readonly #deps: PollersDeps;
  readonly #queue: QueueName;
  readonly #options: PollersOptions;
  readonly #work: Work;
  readonly #pollers: Poller[] = [];
  #more = false; // there may be jobs
  #inProgress = 0; // jobs
  #turns = 0;
  #opening = false;
  #closed = false;

  constructor(deps: PollersDeps, queue: QueueName, options: PollersOptions, work: Work) {
    this.#deps = deps;
    this.#queue = queue;
    this.#options = options;
    this.#work = work;
  }

  /** There may be jobs: a free poller claims now, or else the first one that becomes free. */
  wake(): void {
    this.#more = true;
    this.#claimNext();
  }

  /** Opens and wakes no further poller. pg-boss stops the open ones. */
  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
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

  async #run(poller: Poller, number: number, jobs: Job[]): Promise<JobOutcome[]> {
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
      removeSettled(jobs, outcomes);
      return outcomes;
    } finally {
      poller.busy = false;
      end(left);
    }
  }
}

// pg-boss settles the jobs that are left in its batch array afterwards. For a job that is settled already, that
// statement has no effect, and it is slow while another transaction stays open: 100 ms after 200,000 other jobs.
function removeSettled(batch: Job[], outcomes: JobOutcome[]): void {
  const settled = new Set(outcomes.filter((outcome) => outcome.settled).map(({ id }) => id));
  batch.splice(0, batch.length, ...batch.filter(({ id }) => !settled.has(id)));
}
