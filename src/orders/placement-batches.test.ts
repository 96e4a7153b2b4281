import { sql } from 'slonik';
import { z } from 'zod';
import { ownService, signUp, test } from '../../test/support/context.ts';
import {
  blockOrderOf,
  KETTLE,
  ONE_LONG_BATCH,
  storedWithJob,
  twoCustomers,
  waitingAt,
  type Customer,
} from '../../test/support/intake.ts';
import type { Deps } from '../deps.ts';

// Orders that arrive while a batch is in flight share the next one. The blocked batch waits for its lock for 9 s, and
// then fails. The tests are serial, so that each releases the lock in time on a slow machine too.

for (const inFlightMax of [1, 2]) {
  test.serial(
    `200 orders that arrive while ${inFlightMax} of ${inFlightMax} batches are in flight take at most 5 transactions`,
    async (t) => {
      const settings = { ...ONE_LONG_BATCH, INTAKE_IN_FLIGHT_MAX: String(inFlightMax) };
      const { origin, internal, deps, database } = await ownService(t, settings);
      const user = await signUp({ deps, origin });
      const inFlight = [];
      for (let batch = 0; batch < inFlightMax; batch += 1) {
        inFlight.push(await blockOrderOf(t, database, await signUp({ deps, origin })));
      }

      const others = Array.from({ length: 200 }, () => user.request('POST', '/orders', KETTLE));
      await waitingAt(internal, 200);
      for (const { release } of inFlight) await release();
      const replies = await Promise.all([...others, ...inFlight.map(({ blocked }) => blocked)]);

      t.true(replies.every(({ status }) => status === 201));
      const transactions = await transactionsOf(deps, user);
      t.true(transactions <= 5, `${transactions} transactions`);
    },
  );
}

test.serial('of two requests with one key in one batch, one places the order', async (t) => {
  const { origin, internal, deps, database } = await ownService(t, ONE_LONG_BATCH);
  const [busy, user] = await twoCustomers({ deps, origin });
  const { release } = await blockOrderOf(t, database, busy);

  const twins = [1, 2].map(() =>
    user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'twin' }),
  );
  const other = user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'other' });
  await waitingAt(internal, 3);
  await release();
  const replies = await Promise.all(twins);
  const again = await user.request('POST', '/orders', KETTLE, { 'Idempotency-Key': 'twin' });

  const statuses = replies.map(({ status }) => status);
  t.true(statuses.includes(201) && statuses.includes(409), String(statuses));
  t.is((await other).status, 201);
  t.is(again.body.id, replies.find(({ status }) => status === 201)?.body.id);
  t.is(again.headers.get('idempotent-replayed'), 'true');
  t.is((await storedWithJob(deps, user)).length, 2);
});

async function transactionsOf({ pool }: Pick<Deps, 'pool'>, { id }: Customer): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ count: z.int() }))`
    SELECT count(DISTINCT xact_id::text) AS count FROM orders WHERE user_id = ${id}
  `);
}
