import { ConnectionError, sql } from 'slonik';
import { pino } from 'pino';
import { z } from 'zod';
import { test } from '../../test/support/context.ts';
import { isDatabaseAway } from './errors.ts';
import { openPool } from './pool.ts';
import { limitWaiting } from './waiting.ts';

const Row = z.object({ seven: z.number() });

test('a caller that gets no connection in time gets an error, and its statement never runs', async (t) => {
  const config = { ...t.context.deps.config, POOL_SIZE_MAX: 2 };
  const full = await openPool(config, pino({ level: 'silent' }));
  t.teardown(() => full.end());
  const pool = limitWaiting(full, 100);
  const release = Promise.withResolvers<void>();
  const held = [1, 2].map(() => Promise.withResolvers<void>());
  const holders = held.map(({ resolve }) =>
    full.connect(() => {
      resolve();
      return release.promise;
    }),
  );
  await Promise.all(held.map(({ promise }) => promise));
  let isDone = false;

  const refused = await t.throwsAsync(pool.one(sql.type(Row)`SELECT 7 AS seven`), {
    instanceOf: ConnectionError,
  });
  await t.throwsAsync(
    pool.transaction(async () => {
      isDone = true;
    }),
  );
  release.resolve();
  await Promise.all(holders);

  t.true(isDatabaseAway(refused), 'the error for which the API answers 503');
  t.deepEqual(await full.one(sql.type(Row)`SELECT 7 AS seven`), { seven: 7 });
  t.false(isDone);
});

test('a caller that has a connection may use it for longer than the timeout', async (t) => {
  const pool = limitWaiting(t.context.deps.pool, 5000); // on a busy machine connecting takes a while

  const rows = await pool.transaction(async (tx) => {
    await tx.query(sql.unsafe`SELECT pg_sleep(5.5)`);
    return tx.any(sql.type(Row)`SELECT 7 AS seven`);
  });

  t.deepEqual([...rows], [{ seven: 7 }]);
});
