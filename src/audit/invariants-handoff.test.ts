import { randomUUIDv7 } from 'node:crypto';
import { asSuperuser, violations } from '../../test/support/audit.ts';
import { broken, placed } from '../../test/support/audited-orders.ts';
import { claim, drain, ownService, signUp, test } from '../../test/support/context.ts';
import {
  openFulfilment,
  status as answerWith,
  withFulfilment,
} from '../../test/support/fulfilment.ts';
import { insertOrders, leaveOneTry } from '../../test/support/orders.ts';

// Serial: each test drains the queue of this file's database, and that also processes the orders of other tests.

test.serial(
  'nothing is found after orders were placed, completed, cancelled, failed and retried',
  async (t) => {
    const service = await ownService(t);
    const { deps } = service;
    const user = await signUp(service);
    const [done = '', withdrawn = '', hopeless = ''] = await insertOrders(deps, user.id, 3);
    await user.request('PUT', `/orders/${withdrawn}/cancellation`);
    await leaveOneTry(deps, hopeless);
    for (const job of await claim(deps, 'process-order')) {
      if (job.id !== done) await deps.boss.fail('process-order', [job], { message: 'no' });
      else await deps.boss.fail('process-order', [job], { message: 'again' });
    }
    await drain(deps, 'process-order', { early: true });
    const meanwhile = await violations(service);
    await drain(deps, 'fail-order');
    await user.place();
    await insertOrders(deps, user.id, 1);

    const found = await violations(service);

    t.deepEqual([meanwhile, found], [[], []]);
    const statuses = await asSuperuser(service, 'SELECT status FROM orders ORDER BY id');
    t.deepEqual(
      statuses.map(({ status }) => status),
      ['COMPLETED', 'CANCELLED', 'FAILED', 'PENDING', 'PENDING'],
    );
  },
);

test.serial(
  'nothing is found while the external step asks for a retry, and then accepts the order',
  async (t) => {
    const answers = [answerWith(503), answerWith(200)];
    const { url } = await openFulfilment(t, (response, call) => answers.shift()?.(response, call));
    const service = await withFulfilment(t, url);
    const id = await (await signUp(service)).place();
    await drain(service.deps, 'process-order', { early: true });
    const meanwhile = await violations(t.context, id);
    await drain(service.deps, 'process-order', { early: true });

    t.deepEqual(meanwhile, []);
    t.deepEqual(await violations(t.context, id), []);
  },
);

test.serial('I1 finds an open order without a job', async (t) => {
  const id = await placed(t);
  await asSuperuser(t.context, 'DELETE FROM pgboss.job WHERE id = $1', [id]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I1']);
  t.like(evidence[0], { order_status: 'PENDING', live_jobs: 0, live_dead_letters: 0 });
});

test.serial('I1 finds an open order whose job and dead letter are both alive', async (t) => {
  const id = await placed(t);
  await asSuperuser(
    t.context,
    `INSERT INTO pgboss.job (name, data) SELECT 'fail-order', data FROM pgboss.job WHERE id = $1`,
    [id],
  );

  const { invariants, evidence } = await broken(t, id);
  await asSuperuser(t.context, `DELETE FROM pgboss.job WHERE data ->> 'order_id' = $1`, [id]);

  t.deepEqual(invariants, ['I1']);
  t.like(evidence[0], { live_jobs: 1, live_dead_letters: 1 });
});

test.serial('I2 finds a job and a dead letter without an order', async (t) => {
  const id = randomUUIDv7();
  for (const name of ['process-order', 'fail-order']) {
    await asSuperuser(t.context, 'INSERT INTO pgboss.job (id, name, data) VALUES ($1, $2, $3)', [
      id,
      name,
      { order_id: id, xact_id: '1' },
    ]);
  }

  const { invariants, evidence } = await broken(t, id);
  await asSuperuser(t.context, 'DELETE FROM pgboss.job WHERE id = $1', [id]);

  t.deepEqual(invariants, ['I2', 'I2']);
  t.true(evidence.every(({ problem }) => problem === 'there is no such order'));
});

test.serial(
  'I2 finds a job that another transaction enqueued, and one that names another order',
  async (t) => {
    const [other, wrong] = [await placed(t), await placed(t)];
    const change = 'UPDATE pgboss.job SET data = data || $2 WHERE id = $1';
    await asSuperuser(t.context, change, [other, { xact_id: '1' }]);
    await asSuperuser(t.context, change, [wrong, { order_id: other }]);

    const [first, second] = [await broken(t, other), await broken(t, wrong)];

    t.deepEqual([first.invariants, second.invariants], [['I2'], ['I2']]);
    t.like(first.evidence[0], { problem: 'not the same transaction', job_xact_id: '1' });
    t.like(second.evidence[0], { problem: 'the job names another order' });
  },
);
