/*
 * Do more workers complete more orders? Measures 1, 2 and 4 workers with an external step that takes 20 ms for each
 * order. A worker makes one call at a time. So the limit of a worker is the step, 50 orders a second, and not the CPU
 * of this machine, which all processes share.
 */
import { timeCompletions } from '../completions.ts';
import { service } from '../contestants.ts';
import { serviceContestant } from '../peers/service.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';

const WORKERS = [1, 2, 4];

/** For each worker: the orders to warm up on, and the orders that are measured. */
const DRAINED = { skip: 60, count: 160 };
const DRAINED_QUICK = { skip: 10, count: 40 };

/** Additional queued orders, so all workers are busy until the measurement ends. */
const SPARE = 200;

const DATABASE = 'orders_workers';

export const WITH_STEP = 'step of 20 ms, one call at a time per worker';
export const withWorkers = (workers: number) =>
  `${service.name}, ${workers} worker${workers === 1 ? '' : 's'}`;

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const step = await machine.start('fulfilment step', 'bench/peers/fulfilment-step.ts', {});
  const contestant = serviceContestant({
    name: 'This service, with a step',
    database: DATABASE,
    settings: {
      FULFILMENT_URL: step.origin,
      FULFILMENT_SECRET: 'whsec_bWVhc3VyaW5nLWFuZC1ub3RoaW5nLWVsc2U=',
      FULFILMENT_CONCURRENCY: '1',
    },
  });
  async function completions(workers: number): Promise<number> {
    const { skip, count } = quick ? DRAINED_QUICK : DRAINED;
    await contestant.clear(machine);
    const release = await contestant.fill(machine, (skip + count) * workers + SPARE);
    await release();
    await machine.checkpoint();
    const size = { skip: skip * workers, count: count * workers };
    return timeCompletions(machine, DATABASE, size, () =>
      Promise.all(Array.from({ length: workers }, () => contestant.worker(machine))),
    );
  }

  for (let round = 1; round <= rounds; round += 1) {
    const measured = new Map<number, number>();
    for (const workers of inTurn(WORKERS, round)) {
      say(`round ${round} of ${rounds}, ${withWorkers(workers)}`);
      measured.set(workers, await completions(workers));
    }
    const one = measured.get(1) ?? Number.NaN;
    for (const [workers, perSecond] of measured) {
      results.add(WITH_STEP, withWorkers(workers), 'throughput', '/s', perSecond);
      results.add(WITH_STEP, withWorkers(workers), 'of one worker', '×', perSecond / one);
    }
  }
  await step.stop();
}

export const workers: Scenario = { name: 'workers', run };
