import { sql } from 'slonik';
import { lookUp, ownService, signUp, test } from '../../test/support/context.ts';
import { connectDba, failOrder } from '../../test/support/dba.ts';
import { beforeStatus } from '../../test/support/obstacles.ts';
import { insertOrders, jobOf } from '../../test/support/orders.ts';
import {
  allOrdersEnd,
  auditIsClean,
  completingAttempts,
  countOrders,
  SMALL_BATCHES,
  watchClaims,
} from '../../test/support/process-loop.ts';
import { untilOrderIs, startWorker } from '../../test/support/workers.ts';

// Workers without an external step process orders without claiming their jobs. Each test has a database of its own. The
// tests are serial, because some start several workers.

test.serial(
  'three workers complete each order once, and no order that was cancelled meanwhile',
  async (t) => {
    const service = await ownService(t, SMALL_BATCHES);
    const { deps } = service;
    const wasActive = await watchClaims(t, service);
    const user = await signUp(service);
    const ids = await insertOrders(deps, user.id, 300);
    const unwanted = ids.filter((_, index) => index % 5 === 0);

    const [replies] = await Promise.all([
      Promise.all(unwanted.map((id) => user.request('PUT', `/orders/${id}/cancellation`))),
      startWorker(t, service),
      startWorker(t, service),
      startWorker(t, service),
    ]);
    await allOrdersEnd(service);

    const cancelled = unwanted.filter((_, index) => replies[index]?.status === 200);
    t.true(replies.every(({ status }) => status === 200 || status === 409));
    for (const id of ids) {
      const ended = cancelled.includes(id)
        ? { status: 'CANCELLED', version: 2, job: 'cancelled' }
        : { status: 'COMPLETED', version: 3, job: 'completed' };
      t.deepEqual(await lookUp(deps, id), ended);
    }
    t.is((await countOrders(service)).completions, 300 - cancelled.length);
    t.deepEqual(await wasActive(), []);
    await auditIsClean(t, service);
  },
);

test.serial(
  'an order that an operator has put back is completed by the next attempt',
  async (t) => {
    const service = await ownService(t);
    const { deps } = service;
    const [once = '', twice = ''] = await insertOrders(deps, (await signUp(service)).id, 2);
    await failOrder(deps, twice);
    await deps.pool.query(sql.unsafe`SELECT ops.retry_order(${twice}, 'it is in stock again')`);
    const wasActive = await watchClaims(t, service);

    await startWorker(t, service);
    await untilOrderIs(deps, once, 'COMPLETED');
    await untilOrderIs(deps, twice, 'COMPLETED');

    const attempts = await completingAttempts(service);
    t.deepEqual([attempts.get(once), attempts.get(twice)], [1, 2]);
    t.is((await jobOf(deps, twice)).retryCount, 1);
    t.deepEqual(await wasActive(), []);
    await auditIsClean(t, service);
  },
);

test.serial(
  'an order that is committed after a slow search is found, although its job was created before',
  async (t) => {
    const service = await ownService(t, { WORKER_POLL_SECONDS: '0.5' });
    const { deps } = service;
    const late = await connectDba(t, service, 'postgres');
    await beforeStatus(deps, 'Slow', 'COMPLETED', 'PERFORM pg_sleep(1)');
    const user = await signUp(service);
    await late.rows('BEGIN');
    const id = await late.value(`SELECT place_order($1, 'Late', 1)`, [user.id]);
    const slow = await user.place({ product_name: 'Slow', amount: 1 });
    // As if the slow order had been placed a minute later.
    await deps.pool.query(sql.unsafe`
    UPDATE order_jobs SET created_on = created_on + interval '1 minute' WHERE id = ${slow}
  `);

    await startWorker(t, service);
    await untilOrderIs(deps, slow, 'COMPLETED');
    await late.rows('COMMIT');
    await untilOrderIs(deps, id, 'COMPLETED');

    t.is((await countOrders(service)).completions, 2);
    await auditIsClean(t, service);
  },
);
