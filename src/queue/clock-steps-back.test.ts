import { sql } from 'slonik';
import { z } from 'zod';
import { asSuperuser, tamper } from '../../test/support/audit.ts';
import {
  asWorker,
  claim,
  lookUp,
  ownService,
  signUp,
  test,
  type Context,
} from '../../test/support/context.ts';
import { startWorker, untilOrderIs } from '../../test/support/workers.ts';

/** An UPDATE that moves times an hour ahead. */
function later(table: string, ...columns: string[]): [string] {
  const set = columns.map((column) => `${column} = ${column} + interval '1 hour'`);
  return [`UPDATE ${table} SET ${set.join(', ')}`];
}

/** Changes the rows of the queue as if the server's clock had stepped back by an hour. */
function stepBack(service: Pick<Context, 'database'>): Promise<void> {
  return tamper(
    service,
    ['UPDATE pgboss.queue SET monitor_on = now(), monitor_claim_on = now(), maintain_on = now()'],
    ['UPDATE pgboss.version SET cron_on = now()'],
    later('pgboss.job', 'created_on', 'start_after', 'started_on', 'heartbeat_on'),
    later(
      'pgboss.queue',
      'monitor_on',
      'monitor_claim_on',
      'maintain_on',
      'retained_on',
      'delta_on',
    ),
    later('pgboss.version', 'cron_on'),
    later('pgboss.instance', 'started_on', 'heartbeat_on'),
  );
}

test('after the clock has stepped back, another worker runs the jobs of a dead one', async (t) => {
  const service = await ownService(t);
  const id = await (await signUp(service)).place();
  await claim(service.deps, 'process-order'); // by a worker that dies now
  await stepBack(service);

  await startWorker(t, service);

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
});

test('after the clock has stepped back, orders that wait are due at once', async (t) => {
  const service = await ownService(t);
  const id = await (await signUp(service)).place();
  await stepBack(service);

  await startWorker(t, service);

  t.is(await untilOrderIs(service.deps, id, 'COMPLETED'), 'COMPLETED');
});

test('after the clock has stepped back, a retry waits no longer than before', async (t) => {
  const service = await ownService(t);
  const id = await (await signUp(service)).place();
  const [job] = await claim(service.deps, 'process-order');
  await service.deps.boss.fail('process-order', job ? [job] : [], { message: 'not now' });
  await stepBack(service);

  await service.deps.pool.query(sql.unsafe`SELECT repair_future_times()`);

  const [row] = await asSuperuser(
    service,
    `SELECT start_after < now() + interval '1 minute' AS soon FROM order_jobs WHERE id = $1`,
    [id],
  );
  t.true(row?.soon);
});

test('after the clock has stepped back, a living worker can renew a heartbeat and write counters', async (t) => {
  const service = await ownService(t);
  const worker = asWorker(service.deps);
  const id = await (await signUp(service)).place();
  await claim(service.deps, 'process-order');
  await stepBack(service);

  await worker.pool.query(sql.unsafe`
    UPDATE pgboss.job SET heartbeat_on = pgboss.job_now() WHERE name = 'process-order' AND id = ${id}
  `);
  await worker.pool.query(sql.unsafe`
    UPDATE pgboss.queue SET ready_count = 1 WHERE name = 'process-order'
  `);

  t.is((await lookUp(service.deps, id)).job, 'active');
});

test('after the clock has stepped back, a worker still cannot write a time in the future', async (t) => {
  const service = await ownService(t);
  const { pool } = asWorker(service.deps);
  const id = await (await signUp(service)).place();
  await claim(service.deps, 'process-order');
  await stepBack(service);

  for (const column of ['heartbeat_on', 'started_on']) {
    const fragment = sql.identifier([column]);
    await t.throwsAsync(
      pool.query(sql.unsafe`
        UPDATE pgboss.job SET ${fragment} = now() + interval '2 hours' WHERE id = ${id}
      `),
    );
  }
  await t.throwsAsync(
    pool.query(sql.unsafe`UPDATE pgboss.queue SET monitor_on = now() + interval '2 hours'`),
  );
});

test('while the clock has not stepped back, no row is changed', async (t) => {
  const service = await ownService(t);
  await (await signUp(service)).place();
  await claim(service.deps, 'process-order');

  const changed = await service.deps.pool.oneFirst(
    sql.type(z.object({ n: z.int() }))`SELECT rows_changed AS n FROM repair_future_times()`,
  );

  t.is(changed, 0);
});
