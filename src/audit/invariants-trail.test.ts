import { asSuperuser, tamper } from '../../test/support/audit.ts';
import { broken, cancelled, completed, placed } from '../../test/support/audited-orders.ts';
import { test } from '../../test/support/context.ts';

// Serial: each test drains the queue of this file's database, and that also processes the orders of other tests.

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

test.serial('I5 finds a status that does not follow from the events', async (t) => {
  const id = await completed(t);
  await tamper(t.context, [`UPDATE orders SET status = 'FAILED' WHERE id = $1`, [id]]);

  const { invariants, evidence } = await broken(t, id);

  t.deepEqual(invariants, ['I5']);
  t.like(evidence[0], { found_at: 'order', to_status: 'FAILED', previous_status: 'COMPLETED' });
});

test.serial('I5 finds a change that the lifecycle does not allow', async (t) => {
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
    problem: 'an event follows the cancellation, or the order was completed',
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
  'I8 finds an order without progress for too long, unless a retry is due later',
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
