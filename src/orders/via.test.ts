import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import { sqlStateOf } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { signUp, test } from '../testing/context.ts';
import { insertOrders } from '../testing/orders.ts';

// oms.via: one UPDATE that takes orders through a status on their way to another.

test('an order that goes via PROCESSING leaves both steps on record, as two UPDATEs would', async (t) => {
  const { deps } = t.context;
  const user = await signUp(t.context);
  const [once = '', twice = ''] = await insertOrders(deps, user.id, 2);

  await deps.pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`UPDATE orders SET status = 'PROCESSING' WHERE id = ${twice}`);
    await via(tx, 'PROCESSING');
    await tx.query(sql.unsafe`
      UPDATE orders SET status = 'COMPLETED' WHERE id IN (${once}, ${twice})
    `);
  });

  const events = await trailOf(deps, once);
  t.deepEqual(
    events.map(({ version, from_status, to_status }) => [version, from_status, to_status]),
    [
      [1, null, 'PENDING'],
      [2, 'PENDING', 'PROCESSING'],
      [3, 'PROCESSING', 'COMPLETED'],
    ],
  );
  t.true(events.every(({ chained }) => chained));
  const other = await trailOf(deps, twice);
  t.deepEqual(
    other.map(({ version, to_status, chained }) => ({ version, to_status, chained })),
    events.map(({ version, to_status, chained }) => ({ version, to_status, chained })),
  );
});

for (const [status, through] of [
  ['CANCELLED', 'PROCESSING'], // the first step is allowed
  ['COMPLETED', 'FAILED'], // neither is
  ['COMPLETED', ''],
] as const) {
  test(`an order cannot go to ${status} via ${through || 'nothing'}: each step must be allowed`, async (t) => {
    const { deps } = t.context;
    const [id = ''] = await insertOrders(deps, (await signUp(t.context)).id, 1);

    const error = await t.throwsAsync(
      deps.pool.transaction(async (tx) => {
        await via(tx, through);
        await tx.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
      }),
    );

    t.is(sqlStateOf(error), 'OM001');
    t.is((await trailOf(deps, id)).length, 1);
  });
}

function via(tx: DatabaseTransactionConnection, status: string) {
  return tx.query(sql.unsafe`SELECT set_config('oms.via', ${status}, true)`);
}

/** The events of an order, and whether the hash of each follows from the one before. */
function trailOf({ pool }: Deps, id: string) {
  const Row = z.object({
    version: z.number(),
    from_status: z.string().nullable(),
    to_status: z.string(),
    chained: z.boolean(),
  });
  return pool.any(sql.type(Row)`
    SELECT e.version, e.from_status, e.to_status, e.version = 1 OR e.hash = order_event_hash(
      lag(e.hash) OVER (ORDER BY e.version), e.order_id, e.version, e.from_status, e.to_status, e.actor,
      e.reason, e.job_id, e.attempt, e.at, e.xact_id) AS chained
    FROM order_events AS e
    WHERE e.order_id = ${id}
    ORDER BY e.version
  `);
}
