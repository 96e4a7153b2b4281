import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { lookUp, signUp, test, type Context } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { insertOrders } from '../support/orders.ts';

// The facts about an order that no role can forge or remove while the triggers are on, not even the owner of the table.

const ROLES = ['postgres', 'oms_owner'];

for (const role of ROLES) {
  test(`an order that ${role} inserts by hand gets the real time, transaction and role`, async (t) => {
    const user = await signUp(t.context);
    const { rows } = await connectDba(t, t.context, role);

    await rows('BEGIN');
    const [order] = await rows(
      `INSERT INTO orders (id, user_id, product_name, amount, version, xact_id, created_at, updated_at,
         changed_by, change_reason, change_job_id, change_attempt)
       VALUES ($1, $2, 'Kettle', 1, 7, '3', '2001-01-01', '2001-01-01', 'user:x', 'made up', $1, 4)
       RETURNING version, changed_by, change_reason, change_job_id, change_attempt,
         xact_id = pg_current_xact_id() AS has_real_xact,
         created_at = now() AND updated_at = now() AS has_real_time`,
      [randomUUIDv7(), user.id],
    );
    const [event] = await rows(`
      SELECT actor, reason, version, xact_id = pg_current_xact_id() AS has_real_xact
      FROM order_events WHERE xact_id = pg_current_xact_id()
    `);
    await rows('ROLLBACK');

    t.deepEqual(order, {
      version: 1,
      changed_by: `role:${role}`,
      change_reason: null,
      change_job_id: null,
      change_attempt: null,
      has_real_xact: true,
      has_real_time: true,
    });
    t.deepEqual(event, {
      actor: `role:${role}`,
      reason: null,
      version: 1,
      has_real_xact: true,
    });
  });

  test(`a change that ${role} makes by hand gets the real time and role, and the next version`, async (t) => {
    const id = await placedOrder(t);
    const { rows } = await connectDba(t, t.context, role);

    const [order] = await rows(
      `UPDATE orders SET status = 'CANCELLED', version = 7, xact_id = '3', updated_at = '2001-01-01',
         changed_by = 'user:x', change_reason = 'made up', change_job_id = id, change_attempt = 4
       WHERE id = $1
       RETURNING version, changed_by, change_reason, change_job_id, change_attempt,
         xact_id = (SELECT xact_id FROM order_events WHERE order_id = $1) AS keeps_xact,
         updated_at >= now() AS has_real_time`,
      [id],
    );

    t.deepEqual(order, {
      version: 2,
      changed_by: `role:${role}`,
      change_reason: null,
      change_job_id: null,
      change_attempt: null,
      keeps_xact: true,
      has_real_time: true,
    });
  });

  test(`when ${role} changes an order but not its status, the facts about its newest change stay`, async (t) => {
    const id = await placedOrder(t);
    const { rows } = await connectDba(t, t.context, role);
    const select = `SELECT to_jsonb(o) AS kept FROM orders AS o WHERE id = $1`;
    const before = await rows(select, [id]);

    await rows(
      `UPDATE orders SET version = 7, xact_id = '3', updated_at = '2001-01-01', changed_by = 'user:x',
         change_reason = 'made up', change_job_id = id, change_attempt = 4
       WHERE id = $1`,
      [id],
    );

    t.deepEqual(await rows(select, [id]), before);
  });

  for (const statement of [
    'DELETE FROM orders WHERE id = $1',
    'DELETE FROM orders WHERE false AND id = $1',
    'TRUNCATE orders',
    'TRUNCATE orders CASCADE',
  ]) {
    test(`orders cannot be deleted: ${statement}, by ${role}`, async (t) => {
      const id = await placedOrder(t);
      const { refusal } = await connectDba(t, t.context, role);

      const { code } = await refusal(statement, statement.includes('$1') ? [id] : []);

      t.is(code, 'OM002');
      t.is((await lookUp(t.context.deps, id)).status, 'PENDING');
    });
  }
}

for (const role of ['oms_api', 'oms_worker', 'oms_dba', 'oms_auditor', 'oms_door', 'oms_placer']) {
  test(`${role} has no right to delete orders`, async (t) => {
    const id = await placedOrder(t);
    const { refusal } = await connectDba(t, t.context, role);

    for (const statement of [
      `DELETE FROM public.orders WHERE id = '${id}'`,
      'TRUNCATE public.orders',
    ]) {
      t.is((await refusal(statement)).code, '42501', statement);
    }

    t.is((await lookUp(t.context.deps, id)).status, 'PENDING');
  });
}

async function placedOrder(t: ExecutionContext<Context>): Promise<string> {
  const { id: userId } = await signUp(t.context);
  const [id = ''] = await insertOrders(t.context.deps, userId, 1);
  return id;
}
