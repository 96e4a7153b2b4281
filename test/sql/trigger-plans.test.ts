import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import { ownService, signUp, test } from '../support/context.ts';
import { insertOrders } from '../support/orders.ts';

// Postgres plans the statements in triggers once for each connection, mostly while the queue is empty. These plans must
// not become slower when the queue grows. The test counts the rows that are read.

test('in a long queue, changing an order reads no job, and cancelling an order reads only its own job', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);

  const [reads, cancelled] = await deps.pool.connect(async (connection) => {
    await connection.query(sql.unsafe`VACUUM (ANALYZE)`); // the statistics now say that the queue is empty
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
    await connection.query(sql.unsafe`ANALYZE`); // as autovacuum does
    return [readByChange, await change(unwanted, 'CANCELLED')];
  });

  t.is(reads, 0);
  t.is(cancelled, 1);
});

/** The number of job rows that this transaction has read. */
function jobsRead(tx: DatabaseTransactionConnection): Promise<number> {
  return tx.oneFirst(sql.type(z.object({ rows: z.number() }))`
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::integer AS rows
    FROM pg_stat_xact_all_tables WHERE schemaname = 'pgboss' AND relname ~ '^j(ob)?[_0-9a-f]'
  `);
}
