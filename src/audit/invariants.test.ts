import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { asSuperuser, tamper, violations } from '../../test/support/audit.ts';
import {
  claim,
  drain,
  ownService,
  signUp,
  test,
  type Context,
} from '../../test/support/context.ts';
import {
  openFulfilment,
  status as answerWith,
  withFulfilment,
} from '../../test/support/fulfilment.ts';
import { insertOrders, leaveOneTry } from '../../test/support/orders.ts';

// Serial: each test drains the queue of this file's database, and so works off everybody's orders.

async function placed(t: ExecutionContext<Context>): Promise<string> {
  return (await signUp(t.context)).place();
}

async function completed(t: ExecutionContext<Context>): Promise<string> {
  const id = await placed(t);
  await drain(t.context.deps, 'process-order');
  return id;
}

async function cancelled(t: ExecutionContext<Context>): Promise<string> {
  const user = await signUp(t.context);
  const id = await user.place();
  await user.request('PUT', `/orders/${id}/cancellation`);
  return id;
}

/** The invariants that an order breaks, and the evidence for each. */
async function broken(t: ExecutionContext<Context>, id: string) {
  const found = await violations(t.context, id);
  return {
    invariants: found.map(({ invariant }) => invariant),
    evidence: found.map(({ evidence }) => evidence),
  };
}

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
  'nothing is found around the external step, refused, retried and completed',
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

test.serial('I3 finds an order that was completed twice', async (t) => {
  const id = await completed(t);
  await tamper(
    t.context,
    [
      `INSERT INTO order_events (order_id, version, from_status, to_status, actor, job_id, attempt, at, xact_id, hash)
       SELECT order_id, 4, 'PROCESSING', 'COMPLETED', actor, job_id, 2, at, xact_id, hash
       FROM order_events WHERE order_id = $1 AND version = 3`,
      [id],
    ],
    ['UPDATE orders SET version = 4 WHERE id = $1', [id]],
  );

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual([...new Set(invariants)], ['I3', 'I5', 'I7']);
  t.true(evidence.some(({ problem }) => problem === 'completed more than once'));
});

test.serial(
  'I3 finds a completion by another attempt than the one that holds the job',
  async (t) => {
    const id = await completed(t);
    const count = `UPDATE pgboss.job SET retry_count = 7 WHERE name = 'process-order' AND id = $1`;
    await asSuperuser(t.context, count, [id]);

    const { invariants, evidence } = await broken(t, id);

    t.deepEqual(invariants, ['I3', 'I4']); // the row is of another transaction now, too
    t.like(evidence[0], { attempt: 1, attempt_of_the_job: 8, job_id: id });
  },
);

for (const status of ['COMPLETED', 'FAILED']) {
  test.serial(
    `I3 and I4 find an order that was set ${status} by hand, without its job`,
    async (t) => {
      const id = await placed(t);
      for (const step of ['PROCESSING', status])
        await asSuperuser(t.context, `UPDATE orders SET status = '${step}' WHERE id = $1`, [id]);

      const { invariants, evidence } = await broken(t, id);
      await asSuperuser(t.context, 'DELETE FROM pgboss.job WHERE id = $1', [id]);

      t.deepEqual(invariants, ['I3', 'I4']);
      t.like(evidence[0], { problem: 'ended by no attempt of a job' });
      t.like(evidence[1], { problem: 'the order has ended, its job has not' });
    },
  );
}

test.serial('I4 finds a job that was completed while its order was left open', async (t) => {
  const id = await placed(t);
  const [job] = await claim(t.context.deps, 'process-order');
  await t.context.deps.boss.complete('process-order', [job!]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I1', 'I4']); // no worker will process it, either
  t.like(evidence[1], { problem: 'the job is completed, its order has not ended' });
});

test.serial(
  'I4 finds a job that was completed by another transaction than its order',
  async (t) => {
    const id = await completed(t);
    const touch = `UPDATE pgboss.job SET output = '{}' WHERE name = 'process-order' AND id = $1`;
    await asSuperuser(t.context, touch, [id]);

    const { invariants, evidence } = await broken(t, id);

    t.deepEqual(invariants, ['I4']);
    t.like(evidence[0], { problem: 'order and job were ended by different transactions' });
  },
);

test.serial('I4 accepts a completion inside a savepoint', async (t) => {
  const id = await placed(t);
  const [job] = await claim(t.context.deps, 'process-order');
  await tamperedCompletion(t.context, id, job!.retryCount + 1);

  t.deepEqual((await broken(t, id)).invariants, []);
});

/** As a worker's, but with everything in a subtransaction, whose rows have an xmin of their own. */
function tamperedCompletion(service: Context, id: string, attempt: number) {
  return asSuperuser(
    service,
    `DO $do$ BEGIN
       SET LOCAL ROLE oms_door;
       BEGIN
         UPDATE orders SET status = 'COMPLETED', changed_by = 'worker:test:1', change_job_id = id,
           change_attempt = ${attempt}
         WHERE id = '${id}';
         UPDATE order_jobs SET state = 'completed', completed_on = now() WHERE id = '${id}';
       EXCEPTION WHEN division_by_zero THEN RAISE;
       END;
     END $do$`,
  );
}

test.serial('I5 finds a missing event', async (t) => {
  const id = await completed(t);
  await tamper(t.context, ['DELETE FROM order_events WHERE order_id = $1 AND version = 2', [id]]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I5', 'I7']);
  t.like(evidence[0], {
    problem: 'an event is missing or repeated',
    version: 3,
    previous_version: 1,
  });
});

test.serial('I5 finds a status that no event led to', async (t) => {
  const id = await completed(t);
  await tamper(t.context, [`UPDATE orders SET status = 'FAILED' WHERE id = $1`, [id]]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I5']);
  t.like(evidence[0], { found_at: 'order', to_status: 'FAILED', previous_status: 'COMPLETED' });
});

test.serial('I5 finds a change that the lifecycle does not have', async (t) => {
  const id = await completed(t);
  await tamper(
    t.context,
    [`UPDATE order_events SET to_status = 'FAILED' WHERE order_id = $1 AND version = 2`, [id]],
    [`UPDATE order_events SET from_status = 'FAILED' WHERE order_id = $1 AND version = 3`, [id]],
  );

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I3', 'I5', 'I5', 'I7', 'I7']);
  t.like(evidence[1], { problem: 'the lifecycle has no such change', version: 2 });
});

test.serial('I5 finds events without their order, and an order without events', async (t) => {
  const [orphaned, mute] = [await completed(t), await completed(t)];
  await tamper(
    t.context,
    ['DELETE FROM orders WHERE id = $1', [orphaned]],
    ['DELETE FROM pgboss.job WHERE id = $1', [orphaned]],
    ['DELETE FROM order_events WHERE order_id = $1', [mute]],
  );

  const [first, second] = [await broken(t, orphaned), await broken(t, mute)];

  t.deepEqual([first.invariants, second.invariants], [['I5', 'I7'], ['I5']]);
  t.like(first.evidence[0], { problem: 'the order is gone, or older than its last event' });
  t.like(second.evidence[0], { problem: 'there is no event' });
});

test.serial('I6 finds an event after the cancellation', async (t) => {
  const id = await cancelled(t);
  await tamper(
    t.context,
    [`UPDATE orders SET status = 'PROCESSING', version = 3 WHERE id = $1`, [id]],
    [
      `INSERT INTO order_events (order_id, version, from_status, to_status, actor, at, xact_id, hash)
       SELECT order_id, 3, 'CANCELLED', 'PROCESSING', 'role:mallory', at, xact_id, hash
       FROM order_events WHERE order_id = $1 AND version = 2`,
      [id],
    ],
  );

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I1', 'I5', 'I6', 'I7']);
  t.like(evidence[2], {
    problem: 'something happened after the cancellation',
    cancelled_version: 2,
  });
});

test.serial('I6 finds a live job of a cancelled order', async (t) => {
  const id = await cancelled(t);
  await asSuperuser(t.context, `UPDATE pgboss.job SET state = 'retry' WHERE id = $1`, [id]);

  const { invariants, evidence } = await broken(t, id);
  await asSuperuser(t.context, `UPDATE pgboss.job SET state = 'cancelled' WHERE id = $1`, [id]);

  t.deepEqual(invariants, ['I6']);
  t.like(evidence[0], { problem: 'its job has not ended', job_state: 'retry' });
});

test.serial('I7 finds an event that was edited with the triggers switched off', async (t) => {
  const id = await completed(t);
  await tamper(t.context, [
    `UPDATE order_events SET actor = 'worker:elsewhere:1' WHERE order_id = $1 AND version = 2`,
    [id],
  ]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I7']);
  t.like(evidence[0], { problem: 'the event, or the hash before it, was changed', version: 2 });
});

test.serial(
  'I7 finds an order whose content was edited with the triggers switched off',
  async (t) => {
    const id = await completed(t);
    await tamper(t.context, ['UPDATE orders SET amount = 3.49 WHERE id = $1', [id]]);

    const { invariants, evidence } = await broken(t, id);

    t.deepEqual(invariants, ['I7']);
    t.like(evidence[0], {
      version: 1,
      problem: 'the content of the order, or its first event, was changed',
    });
  },
);

test.serial(
  'I8 finds an order that has stood still for too long, unless its retry is yet to come',
  async (t) => {
    const [still, waiting] = [await placed(t), await placed(t)];
    await tamper(
      t.context,
      [
        `UPDATE orders SET updated_at = now() - interval '31 minutes' WHERE id = ANY($1)`,
        [[still, waiting]],
      ],
      [
        `UPDATE pgboss.job SET created_on = now() - interval '31 minutes', start_after = now() - interval '31 minutes'
       WHERE id = ANY($1)`,
        [[still, waiting]],
      ],
      [
        `UPDATE pgboss.job SET state = 'retry', retry_count = 3, start_after = now() + interval '5 minutes'
       WHERE id = $1`,
        [waiting],
      ],
    );

    const [first, second] = [await broken(t, still), await broken(t, waiting)];

    t.deepEqual([first.invariants, second.invariants], [['I8'], []]);
    t.like(first.evidence[0], { order_status: 'PENDING', job_state: 'created', attempts: 1 });
  },
);
