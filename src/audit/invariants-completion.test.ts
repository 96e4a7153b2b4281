import { asSuperuser, tamper } from '../../test/support/audit.ts';
import { broken, completed, placed } from '../../test/support/audited-orders.ts';
import { claim, test, type Context } from '../../test/support/context.ts';

// Serial: each test drains the queue of this file's database, and that also processes the orders of other tests.

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

test.serial('I3 finds a completion by another attempt than that of the job', async (t) => {
  const id = await completed(t);
  const count = `UPDATE pgboss.job SET retry_count = 7 WHERE name = 'process-order' AND id = $1`;
  await asSuperuser(t.context, count, [id]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I3', 'I4']); // I4, because another transaction wrote the row of the job
  t.like(evidence[0], { attempt: 1, attempt_of_the_job: 8, job_id: id });
});

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
      t.like(evidence[1], { problem: 'the order has ended, its job is not completed' });
    },
  );
}

test.serial('I4 finds a job that was completed while its order was left open', async (t) => {
  const id = await placed(t);
  const [job] = await claim(t.context.deps, 'process-order');
  await t.context.deps.boss.complete('process-order', [job!]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I1', 'I4']); // I1, because the open order has no live job
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

/** Completes an order as a worker does, but in a subtransaction, so its rows have another xmin. */
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
