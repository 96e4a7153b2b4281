import { PassThrough } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { untilTransactionsEnd, asSuperuser, tamper } from '../../test/support/audit.ts';
import { drain, ownService, send, signUp, test, type Context } from '../../test/support/context.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { runScheduledAudit } from './scheduled.ts';

/** A run with the rights of a worker, and what it logged as an error. */
async function run({ deps, database }: Context) {
  const output = new PassThrough({ encoding: 'utf8' });
  const log = pino({ level: 'error' }, output);
  const config = { ...deps.config, DATABASE_URL: databaseUrl(database, 'oms_worker') };
  const { counts, orders } = await runScheduledAudit({ config, log });
  const text = String(output.read() ?? '');
  const lines = text.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
  return { counts, orders, lines };
}

async function serviceWithOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  const user = await signUp(service);
  const ids = await insertOrders(service.deps, user.id, count);
  await drain(service.deps, 'process-order');
  await untilTransactionsEnd(service);
  return { service, user, ids };
}

test('the scheduled audit checks the orders that have changed since the last one', async (t) => {
  const { service, user } = await serviceWithOrders(t, 3);

  const first = await run(service);
  await insertOrders(service.deps, user.id, 2);
  const second = await run(service);
  const third = await run(service);

  t.deepEqual([first.orders, second.orders], [3, 5]); // orders with a job of the last minutes are checked again
  t.deepEqual([first.counts, second.counts, third.counts], [{}, {}, {}]);
  const runs = await asSuperuser(service, 'SELECT orders, violations, watched FROM audit.runs');
  t.is(runs.length, 3);
  t.deepEqual(runs[0]?.violations, {});
});

test('a violation is logged, counted in the metrics, and found again until it is repaired', async (t) => {
  const { service, ids } = await serviceWithOrders(t, 2);
  const [id = ''] = ids;
  const change = (status: string) =>
    tamper(service, ['UPDATE orders SET status = $2 WHERE id = $1', [id, status]]);
  await change('FAILED');

  const first = await run(service);
  const metrics = (await send(service.internal, 'GET', '/metrics')).body as string;
  await forgetNews(service);
  const second = await run(service);
  await change('COMPLETED');
  const third = await run(service);

  t.deepEqual([first.counts, second.counts, third.counts], [{ I5: 1 }, { I5: 1 }, {}]);
  t.is(second.orders, 1);
  t.like(first.lines[0], {
    msg: 'invariant violated',
    invariant: 'I5',
    violations: 1,
    order_id: id,
  });
  t.is(first.lines.length, 1);
  t.regex(metrics, /^oms_audit_violations\{invariant="I5"\} 1$/m);
  t.regex(metrics, /^oms_audit_violations\{invariant="I1"\} 0$/m);
  t.regex(metrics, /^oms_audit_finished_timestamp_seconds \d/m);
});

test('an open order is checked again when it makes no progress, and at each run from then on', async (t) => {
  const service = await ownService(t);
  const [id = ''] = await insertOrders(service.deps, (await signUp(service)).id, 1);
  await run(service);
  await tamper(
    service,
    [`UPDATE orders SET updated_at = now() - interval '31 minutes' WHERE id = $1`, [id]],
    [`UPDATE order_events SET at = now() - interval '31 minutes' WHERE order_id = $1`, [id]],
    ['DELETE FROM pgboss.job WHERE id = $1', [id]],
  );
  await forgetNews(service, '5 minutes');

  const begins = await run(service);
  await forgetNews(service);
  const goesOn = await run(service);

  t.deepEqual(begins.counts, { I1: 1, I7: 1, I8: 1 }); // I7, because the time of the event was changed
  t.deepEqual(goesOn.counts, begins.counts);
});

/** Moves the runs into the past, and deletes all jobs: the next run would check the orders of new jobs again. */
async function forgetNews(service: Context, ago = '0 minutes') {
  await tamper(
    service,
    [`UPDATE audit_runs SET started_at = started_at - $1::interval`, [ago]],
    ['DELETE FROM pgboss.job'],
  );
}

test('job audit runs with the rights of a worker, and reports how many orders it checked', async (t) => {
  const { service } = await serviceWithOrders(t, 1);
  await service.deps.boss.send('audit', {});
  const config = {
    ...service.deps.config,
    DATABASE_URL: databaseUrl(service.database, 'oms_worker'),
  };

  const outcomes = await drain({ ...service.deps, config }, 'audit');

  t.deepEqual(outcomes, ['completed']);
  t.is((await asSuperuser(service, 'SELECT id FROM audit_runs')).length, 1);
});
