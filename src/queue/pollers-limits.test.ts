import test from 'ava';
import type { Job, PgBoss } from 'pg-boss';
import type { Logger } from 'pino';
import type { JobOutcome } from './boss.ts';
import { Pollers } from './pollers.ts';

// With a fake pg-boss, so that a test sees each claim, and decides when the claim returns jobs.

type Options = ConstructorParameters<typeof Pollers>[2];

/**
 * Pollers and their fake pg-boss. `claims` has the number of the poller for each claim: a poller claims when it is
 * opened and when it is notified. `give` answers a claim with jobs; their batch runs until `end`.
 */
function pollersOn(options: Options, { failuresToOpen = 0 } = {}) {
  const handlers: ((jobs: Job[]) => Promise<unknown>)[] = [];
  const claims: number[] = [];
  const errors: string[] = [];
  let failures = failuresToOpen;
  let batch = { ended: () => {}, finish: () => {} };
  const boss = {
    work(_queue: string, _options: object, handler: (jobs: Job[]) => Promise<unknown>) {
      if (failures > 0) return Promise.reject(new Error(`failure ${(failures -= 1)}`));
      claims.push(handlers.push(handler) - 1);
      return Promise.resolve(String(handlers.length - 1));
    },
    notifyWorker: (id: string) => claims.push(Number(id)),
    offWork: () => Promise.resolve(),
  } as unknown as PgBoss;
  const log = { error: (_fields: object, message: string) => errors.push(message) };
  const deps = { boss, log: log as unknown as Logger };
  const pollers = new Pollers(deps, 'prune', options, (_poller, _jobs, ended) => {
    const { promise, resolve } = Promise.withResolvers<JobOutcome[]>();
    batch = { ended, finish: () => resolve([]) };
    return promise;
  });
  const give = (poller: number, count: number) => {
    const jobs = Array.from({ length: count }, () => ({ id: crypto.randomUUID() }) as Job);
    const running = handlers[poller]?.(jobs);
    const { ended, finish } = batch;
    const end = async () => {
      finish();
      await running;
    };
    return { ended, end };
  };
  return { pollers, claims, errors, give };
}

/** One turn of the event loop. After it, a poller that can be opened is open. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

const LIMITED = { batchSize: 2, pollersMax: 3, inProgressMax: 2 };

test('while as many jobs are in progress as allowed, no poller claims', async (t) => {
  const { pollers, claims, give } = pollersOn(LIMITED);
  await pollers.open();
  const batch = give(0, 2);

  pollers.wake();
  await turn();
  t.deepEqual(claims, [0]);
  await batch.end();

  t.deepEqual(claims, [0, 0]);
});

test('a job that has ended makes room for another one before its batch ends', async (t) => {
  const { pollers, claims, give } = pollersOn(LIMITED);
  await pollers.open();
  const batch = give(0, 2);

  batch.ended();
  await turn();

  t.deepEqual(claims, [0, 1], 'another poller claims');
});

test('after a batch with fewer jobs than a claim can take, no poller claims', async (t) => {
  const { pollers, claims, give } = pollersOn(LIMITED);
  await pollers.open();
  const batch = give(0, 1);

  await batch.end();
  await turn();

  t.deepEqual(claims, [0]);
});

test('calls of `ended` beyond the number of jobs in a batch make no more room', async (t) => {
  const { pollers, claims, give } = pollersOn(LIMITED);
  await pollers.open();
  const first = give(0, 2);

  for (let calls = 0; calls < 5; calls += 1) first.ended();
  await turn();
  const second = give(1, 2);
  pollers.wake();
  await turn();
  t.deepEqual(claims, [0, 1], 'two jobs of the second batch are in progress');
  await first.end();
  t.deepEqual(claims, [0, 1], 'the end of the first batch makes no room either');
  second.ended();

  t.deepEqual(claims, [0, 1, 0]);
});

test('without a limit, each full batch leads to a claim of the next poller, up to the last one', async (t) => {
  const { pollers, claims, give } = pollersOn({ batchSize: 2, pollersMax: 3 });
  await pollers.open();

  for (const poller of [0, 1, 2]) {
    give(poller, 2);
    await turn();
  }

  t.deepEqual(claims, [0, 1, 2]);
});

test('with one batch per wake, nothing is claimed before the first wake, and one batch after it', async (t) => {
  const { pollers, claims, give } = pollersOn({ batchSize: 2, oneBatchPerWake: true });
  await turn();
  t.deepEqual(claims, []);

  pollers.wake();
  await turn();
  await give(0, 2).end();
  await turn();
  t.deepEqual(claims, [0]);
  pollers.wake();

  t.deepEqual(claims, [0, 0]);
});

test('with one batch per wake, wakes during a batch lead to one claim after it', async (t) => {
  const { pollers, claims, give } = pollersOn({ batchSize: 2, oneBatchPerWake: true });
  pollers.wake();
  await turn();
  const batch = give(0, 2);

  pollers.wake();
  pollers.wake();
  t.deepEqual(claims, [0]);
  await batch.end();
  await give(0, 2).end();

  t.deepEqual(claims, [0, 0]);
});

test('a poller that could not be opened is opened at the next wake', async (t) => {
  const { pollers, claims, errors } = pollersOn({ batchSize: 2 }, { failuresToOpen: 1 });

  pollers.wake();
  await turn();
  t.deepEqual([claims, errors], [[], ['poller not opened']]);
  pollers.wake();
  await turn();

  t.deepEqual(claims, [0]);
});

test('closed pollers claim no more', async (t) => {
  const { pollers, claims, give } = pollersOn(LIMITED);
  await pollers.open();
  const batch = give(0, 2);

  await pollers.close();
  pollers.wake();
  await batch.end();

  t.deepEqual(claims, [0]);
});
