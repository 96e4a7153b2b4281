import { claim, drain, lookUp, signUp, test, type TestDeps } from '../../test/support/context.ts';
import { beforeStatus, REFUSE } from '../../test/support/obstacles.ts';
import { deleteJobs, eventsOf, leaveOneTry } from '../../test/support/orders.ts';

// Every test is serial: each claims all due jobs in this file's database.

test.serial(
  'an order whose last attempt fails becomes FAILED, and its events say why',
  async (t) => {
    const { deps } = t.context;
    await beforeStatus(deps, 'Hopeless', 'COMPLETED', REFUSE);
    const user = await signUp(t.context);
    const id = await user.place({ product_name: 'Hopeless', amount: 1 });
    await leaveOneTry(deps, id);

    await drain(deps, 'process-order');
    const exhausted = await lookUp(deps, id);
    const outcomes = await drain(deps, 'fail-order');

    t.deepEqual(exhausted, { status: 'PENDING', version: 1, job: 'failed' });
    t.deepEqual(outcomes, ['completed']);
    const events = await eventsOf(deps, id);
    t.deepEqual(
      events.map(({ to_status }) => to_status),
      ['PENDING', 'PROCESSING', 'FAILED'],
    );
    t.regex(events.at(-1)?.actor ?? '', /^worker:/);
    t.regex(events.at(-1)?.reason ?? '', /^Gave up after 1 attempt: .*this one is poison/);
  },
);

test.serial('an order that cannot be set FAILED does not affect the others', async (t) => {
  const { deps } = t.context;
  await beforeStatus(deps, 'Immortal', 'FAILED', REFUSE);
  const user = await signUp(t.context);
  const [first, immortal, last] = [
    await user.place(),
    await user.place({ product_name: 'Immortal', amount: 1 }),
    await user.place(),
  ];
  for (const id of [first, immortal, last]) await leaveOneTry(deps, id);
  await failDueJobs(deps);

  const outcomes = await drain(deps, 'fail-order');

  t.deepEqual(outcomes.sort(), ['completed', 'completed', 'failed']);
  t.is((await lookUp(deps, first)).status, 'FAILED');
  t.is((await lookUp(deps, immortal)).status, 'PENDING');
  t.is((await lookUp(deps, last)).status, 'FAILED');
});

test.serial('an order that is cancelled after its last attempt stays CANCELLED', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const id = await user.place();
  await leaveOneTry(deps, id);
  await failDueJobs(deps);

  await user.request('PUT', `/orders/${id}/cancellation`);
  const outcomes = await drain(deps, 'fail-order');

  t.deepEqual(outcomes, ['completed']);
  t.is((await lookUp(deps, id)).status, 'CANCELLED');
});

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
  await deleteJobs(t.context.deps, 'fail-order');
});

/** Claims all due jobs of orders, and fails them. */
async function failDueJobs(deps: TestDeps): Promise<void> {
  const jobs = await claim(deps, 'process-order');
  await deps.boss.fail('process-order', jobs, { message: 'failed by the test' });
}
