import { sql } from 'slonik';
import { WORKER_NAME } from '../../src/orders/processing.ts';
import { ClaimLost } from '../../src/queue/boss.ts';
import {
  callDoorWith,
  claimAgain,
  rescue,
  retryOrder,
  type Claimed,
  type Service,
} from '../support/claims.ts';
import { claim, lookUp, ownService, signUp, test } from '../support/context.ts';
import { exhaustRetries } from '../support/dba.ts';
import { insertOrders, jobOf } from '../support/orders.ts';

// The fence of dead letters: a worker that was silent for a while cannot set orders to FAILED.
//
// Serial, because each test creates a database.

/** The ways in which a worker loses its claim on a dead letter. */
const losses: Record<string, (service: Service, letter: Claimed) => Promise<unknown>> = {
  async 'pg-boss has given it to another worker'(service, letter) {
    await rescue(service, 'fail-order', letter.id);
    await claimAgain(service, 'fail-order', letter.id);
  },

  async 'an operator has retried the order'(service, letter) {
    await rescue(service, 'fail-order', letter.id);
    await retryOrder(service, letter.data.order_id);
  },

  async 'it was deleted, and an operator made the job again'(service, { id, data }) {
    await service.deps.pool.query(sql.unsafe`
      DELETE FROM pgboss.job WHERE id IN (${id}, ${data.order_id})
    `);
    await retryOrder(service, data.order_id);
    await claimAgain(service, 'process-order', data.order_id);
  },
};

for (const [how, lose] of Object.entries(losses)) {
  test.serial(`fail_orders refuses the whole batch of a stale attempt: ${how}`, async (t) => {
    const service = await ownService(t);
    const { id: userId } = await signUp(service);
    const orders = await insertOrders(service.deps, userId, 2);
    for (const id of orders) await exhaustRetries(service.deps, id);
    const letters = (await claim(service.deps, 'fail-order')) as unknown as Claimed[];
    const [stale, other] = letters as [Claimed, Claimed];
    await lose(service, stale);

    await t.throwsAsync(failOrders(service, [other, stale]), { instanceOf: ClaimLost });
    await t.throwsAsync(failOrders(service, [stale]), { instanceOf: ClaimLost });

    for (const id of orders)
      t.like(await lookUp(service.deps, id), { status: 'PENDING', version: 1 });
    t.is((await jobOf(service.deps, other.id, 'fail-order')).state, 'active');
    t.deepEqual(await failOrders(service, [other]), [other.data.order_id]);
  });
}

function failOrders(service: Service, letters: Claimed[]): Promise<readonly string[]> {
  const batch = letters.map(({ id, retryCount, data: { order_id } }) => ({
    id,
    retry_count: retryCount,
    order_id,
    reason: 'out of stock',
  }));
  const door = sql.fragment`fail_orders(${JSON.stringify(batch)}::jsonb, ${WORKER_NAME}, 1000)`;
  return callDoorWith(service, batch.length, door);
}
