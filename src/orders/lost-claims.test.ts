import {
  asWorker,
  claim,
  lookUp,
  signUp,
  test,
  type TestDeps,
} from '../../test/support/context.ts';
import { deleteJobs, eventsOf, insertOrders } from '../../test/support/orders.ts';
import { completeOrders, type OrderJob } from './processing.ts';

// A worker completes orders although pg-boss has given up its claim. test/sql/fence.test.ts tests the functions alone.
//
// Every test is serial: each claims all due jobs in this file's database.

test.serial('a worker that has lost its claim changes nothing', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  const jobs = await claimOrders(deps);
  await deps.boss.fail('process-order', id, { message: 'heartbeat lost' });

  const outcomes = await completeOrders(asWorker(deps), jobs);
  await deps.boss.complete('process-order', jobs);

  t.is(outcomes[0]?.status, 'failed');
  t.deepEqual(await lookUp(deps, id), { status: 'PENDING', version: 1, job: 'retry' });
  t.is((await eventsOf(deps, id)).length, 1);
});

test.serial(
  'of two workers with the same order, the one that claimed it last completes it',
  async (t) => {
    const { deps } = t.context;
    const [id = '', neighbour = ''] = await insertOrders(deps, (await signUp(t.context)).id, 2);
    const lost = await claimOrders(deps);
    await deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
    const taken = await claimOrders(deps, { early: true });

    const late = await completeOrders(asWorker(deps), lost);
    const between = await lookUp(deps, id);
    const now = await completeOrders(asWorker(deps), taken);
    await completeOrders(asWorker(deps), lost);

    t.deepEqual(
      taken.map((job) => job.id),
      [id],
    );
    t.deepEqual(Object.fromEntries(late.map((outcome) => [outcome.id, outcome.status])), {
      [id]: 'failed',
      [neighbour]: 'completed',
    });
    t.deepEqual(between, { status: 'PENDING', version: 1, job: 'active' });
    t.is(now[0]?.status, 'completed');
    const completed = { status: 'COMPLETED', version: 3, job: 'completed' };
    t.deepEqual(await lookUp(deps, id), completed);
    t.deepEqual(await lookUp(deps, neighbour), completed);
  },
);

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
});

async function claimOrders(deps: TestDeps, { early = false } = {}): Promise<OrderJob[]> {
  return (await claim(deps, 'process-order', { early })) as OrderJob[];
}
