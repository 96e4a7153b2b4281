import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import { ownService, signUp, test } from '../support/context.ts';
import { insertOrders } from '../support/orders.ts';

// The statements in triggers are planned once per connection, mostly while the queue is empty. They must not become
// slower as the queue grows. The tests count the rows that are read, not the time.

test('with many orders queued, a change of one reads no job, and its cancellation only its own', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);

  const [reads, cancelled] = await deps.pool.connect(async (connection) => {
    await connection.query(sql.unsafe`VACUUM (ANALYZE)`); // now the planner believes that the queue is empty
    for (const id of await insertOrders(deps, user.id, 8)) {
      await connection.query(sql.unsafe`UPDATE orders SET status = 'CANCELLED' WHERE id = ${id}`);
    }
    const [taken = '', unwanted = ''] = await insertOrders(deps, user.id, 500);
    const change = (id: string, status: string) =>
      connection.transaction(async (tx) => {
        const before = await jobsRead(tx);
        await tx.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
        return (await jobsRead(tx)) - before;
      });
    const readByChange = await change(taken, 'PROCESSING');
    await connection.query(sql.unsafe`ANALYZE`); // as autovacuum would
    return [readByChange, await change(unwanted, 'CANCELLED')];
  });

  t.is(reads, 0);
  t.is(cancelled, 1);
});

/** Rows of the queue that this connection has read, since it last reported them. */
function jobsRead(tx: DatabaseTransactionConnection): Promise<number> {
  return tx.oneFirst(sql.type(z.object({ rows: z.number() }))`
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::integer AS rows
    FROM pg_stat_xact_all_tables WHERE schemaname = 'pgboss' AND relname ~ '^j(ob)?[_0-9a-f]'
  `);
}
