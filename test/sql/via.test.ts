import { sql } from 'slonik';
import { z } from 'zod';
import { sqlStateOf } from '../../src/db/errors.ts';
import type { Deps } from '../../src/deps.ts';
import {
  asWorker,
  claim,
  ownService,
  signUp,
  test,
  type Context,
  type TestDeps,
} from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { insertOrders } from '../support/orders.ts';
import { claims, completeOrders, WORKER_NAME, type OrderJob } from '../../src/orders/processing.ts';

// A worker's statement can take an order two steps, through PROCESSING. No other statement can. The recorded actor and
// reason come from the login role and the arguments of the door functions, not from settings of the session.

const SETTINGS = {
  'oms.actor': 'user:another',
  'oms.reason': 'made up',
  'oms.attempts': '{}',
  'oms.via': 'PROCESSING',
};

test('an order that a worker completes in one statement has the same events as with two statements', async (t) => {
  const { deps } = await ownService(t);
  const user = await signUp({ deps, origin: '' });
  const [once = '', twice = ''] = await insertOrders(deps, user.id, 2);
  const jobs = await claimOrders(deps);
  const taken = jobs.filter(({ id }) => id === twice);
  await asWorker(deps).pool.query(sql.unsafe`
    SELECT id FROM take_orders(${claims(taken)}::jsonb, ${WORKER_NAME}, 1000)
  `);

  await completeOrders(asWorker(deps), jobs);

  const events = await trailOf(deps, once);
  t.deepEqual(
    events.map(({ version, from_status, to_status }) => [version, from_status, to_status]),
    [
      [1, null, 'PENDING'],
      [2, 'PENDING', 'PROCESSING'],
      [3, 'PROCESSING', 'COMPLETED'],
    ],
  );
  t.deepEqual(
    events.map(({ is_for_its_job, attempt }) => [is_for_its_job, attempt]),
    [
      [null, null],
      [true, 1],
      [true, 1],
    ],
  );
  t.true(events.every(({ chained }) => chained));
  const other = await trailOf(deps, twice);
  t.deepEqual(other, events);
});

for (const role of ['postgres', 'oms_owner']) {
  test(`settings of a session do not change the recorded actor and reason: ${role}`, async (t) => {
    const { id, rows, deps } = await psqlWithSettings(t, role);

    await rows(
      `UPDATE orders SET status = 'PROCESSING', changed_by = 'user:x', change_reason = 'made up',
         change_job_id = id, change_attempt = 3
       WHERE id = $1`,
      [id],
    );

    const [, event] = await trailOf(deps, id);
    t.like(event, {
      version: 2,
      actor: `role:${role}`,
      reason: null,
      is_for_its_job: null,
      attempt: null,
    });
  });

  for (const status of ['COMPLETED', 'FAILED']) {
    test(`settings of a session do not let ${role} take an order to ${status} in one step`, async (t) => {
      const { id, rows, deps } = await psqlWithSettings(t, role);

      const error = await t.throwsAsync(
        rows(`UPDATE orders SET status = '${status}', change_attempt = 1 WHERE id = $1`, [id]),
      );

      t.is(sqlStateOf(error), 'OM001');
      t.is((await trailOf(deps, id)).length, 1);
    });
  }
}

test('settings of a DBA’s session do not change what place_order and ops.cancel_order record', async (t) => {
  const { value, deps } = await psqlWithSettings(t, 'oms_dba');
  const user = await signUp(t.context);

  const id: string = await value(`SELECT place_order($1, 'Kettle', 1)`, [user.id]);
  await value(`SELECT ops.cancel_order($1, 'asked for by phone')`, [id]);

  const events = await trailOf(deps, id);
  t.deepEqual(
    events.map(({ to_status, actor, reason }) => [to_status, actor, reason]),
    [
      ['PENDING', 'role:oms_dba', null],
      ['CANCELLED', 'role:oms_dba', 'asked for by phone'],
    ],
  );
});

/** An order, and a psql session with the settings that named the actor in earlier versions. */
async function psqlWithSettings(t: Parameters<typeof connectDba>[0], role: string) {
  const { deps }: Pick<Context, 'deps'> = t.context;
  const [id = ''] = await insertOrders(deps, (await signUp(t.context)).id, 1);
  const dba = await connectDba(t, t.context, role);
  for (const [name, value] of Object.entries(SETTINGS)) {
    await dba.rows('SELECT set_config($1, $2, false)', [name, value]);
  }
  return { ...dba, deps, id };
}

async function claimOrders(deps: TestDeps): Promise<OrderJob[]> {
  return (await claim(asWorker(deps), 'process-order')) as unknown as OrderJob[];
}

/** The events of an order, and whether the hash of each continues that of the event before. */
function trailOf({ pool }: Pick<Deps, 'pool'>, id: string) {
  const Row = z.object({
    version: z.number(),
    from_status: z.string().nullable(),
    to_status: z.string(),
    actor: z.string(),
    reason: z.string().nullable(),
    is_for_its_job: z.boolean().nullable(),
    attempt: z.number().nullable(),
    chained: z.boolean(),
  });
  return pool.any(sql.type(Row)`
    SELECT e.version, e.from_status, e.to_status, e.actor, e.reason, e.job_id = e.order_id AS is_for_its_job, e.attempt,
      e.version = 1 OR e.hash = order_event_hash_v1(
        lag(e.hash) OVER (ORDER BY e.version), e.order_id, e.version, e.from_status, e.to_status, e.actor,
        e.reason, e.job_id, e.attempt, e.at, e.xact_id) AS chained
    FROM order_events AS e
    WHERE e.order_id = ${id}
    ORDER BY e.version
  `);
}
