import type { ExecutionContext } from 'ava';
import { queues as allQueues } from '../../jobs/queues.ts';
import {
  drain,
  ownService,
  send,
  signUp,
  test,
  withSettings,
  type Context,
} from '../../test/support/context.ts';
import { behindGate } from '../../test/support/database-gate.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { testConfig } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { createInternalApp } from '../app.ts';
import { closeDeps, openDeps } from '../deps.ts';
import { portOf, serve } from '../http/server.ts';
import { createQueue } from '../queue/boss.ts';
import { createHealth } from './health.ts';

const READY = 'oms_queue_jobs{queue="process-order",state="ready"}';

test('the metrics count orders and requests', async (t) => {
  const service = await withSettings(t, {});
  const user = await signUp(service);
  const before = await metricsOf(service.internal);

  await user.place();
  const cancelled = await user.place();
  await user.request('PUT', `/orders/${cancelled}/cancellation`);
  await user.request('PUT', `/orders/${cancelled}/cancellation`);

  const count = 'oms_http_request_duration_seconds_count';
  const after = await metricsWhere(service.internal, 'oms_orders_cancelled_total', 1);
  t.is(before.get('oms_orders_placed_total'), 0);
  t.is(after.get('oms_orders_placed_total'), 2);
  t.is(after.get(`${count}{method="POST",route="/orders",status="201"}`), 2);
  t.is(after.get(`${count}{method="PUT",route="/orders/:id/cancellation",status="200"}`), 2);
  t.true((after.get('process_resident_memory_bytes') ?? 0) > 0);
});

test('the metrics of an API show the backlog while no worker lives', async (t) => {
  const service = await ownService(t);
  const { id } = await signUp(service);
  await metricsWhere(service.internal, READY, 0);

  await insertOrders(service.deps, id, 3);
  const metrics = await metricsWhere(service.internal, READY, 3);

  t.is(metrics.get('oms_queue_workers{queue="process-order"}'), 0);
  t.is(metrics.get('oms_queue_jobs_at_least{queue="process-order"}'), 0);
  t.true((metrics.get('oms_queue_oldest_ready_seconds{queue="process-order"}') ?? -1) >= 0);
  t.true((metrics.get('oms_figures_age_seconds') ?? -1) >= 0);
  const queues = [...metrics.keys()].filter((name) => /oms_queue_jobs\{.*state="ready"/.test(name));
  t.is(queues.length, Object.keys(allQueues).length);
});

test('the metrics of a worker count finished orders', async (t) => {
  const service = await ownService(t);
  const { deps, internal } = await startWorkerApp(t, service);
  const user = await signUp(service);
  await user.place();
  const before = await metricsWhere(internal, READY, 1);

  await drain({ ...deps, boss: service.deps.boss }, 'process-order');

  const finished = 'oms_orders_finished_total{status="COMPLETED"}';
  const after = await metricsWhere(internal, finished, 1);
  t.is(before.get(finished), undefined);
  const batches = 'oms_job_batch_duration_seconds_count{queue="process-order",outcome="handled"}';
  t.true((after.get(batches) ?? 0) >= 1);
});

test('while the database is silent, the metrics have the last figures with their age', async (t) => {
  const { service, gate } = await behindGate(t);
  const { id } = await signUp(t.context);
  await insertOrders(t.context.deps, id, 1);
  const before = await until('figures', async () => {
    const metrics = await metricsOf(service.internal);
    return (metrics.get(READY) ?? 0) > 0 && metrics;
  });
  gate.hang();

  const after = await metricsWhere(service.internal, 'oms_database_up', 0);
  const later = await until('older figures', async () => {
    const metrics = await metricsOf(service.internal);
    return ageOf(metrics) > ageOf(after) && metrics;
  });

  t.is(before.get('oms_database_up'), 1);
  t.is(before.get('oms_database_writable'), 1);
  t.is(before.get('oms_ready'), 1);
  for (const metrics of [after, later]) {
    t.is(metrics.get(READY), before.get(READY));
    t.is(metrics.get('oms_ready'), 0);
    t.is(metrics.get('oms_database_writable'), 0);
  }
});

test('before the first figures, their age is the time for which they have been missing', async (t) => {
  const { service, gate } = await behindGate(t);
  gate.hang();

  const first = ageOf(await metricsOf(service.internal));
  const later = await until('a higher age', async () => {
    const age = ageOf(await metricsOf(service.internal));
    return age > first && age;
  });

  t.true(first > 0);
  t.true(later > first);
});

function ageOf(metrics: Map<string, number>): number {
  return metrics.get('oms_figures_age_seconds') ?? 0;
}

/** A worker's listener for operators, without consumers. */
async function startWorkerApp(t: ExecutionContext<Context>, { database }: Context) {
  const config = testConfig(database, {}, 'oms_worker');
  const base = await openDeps(config, 'worker');
  const queue = createQueue(config, base.log, { supervise: false });
  await queue.boss.start();
  t.teardown(async () => {
    await queue.close(0);
    await closeDeps(base);
  });
  const deps = { ...base, boss: queue.boss };
  const server = await serve(
    createInternalApp({ ...deps, health: createHealth(deps, {}) }),
    0,
    '127.0.0.1',
  );
  t.teardown(() => server.close().closeAllConnections());
  return { deps, internal: `http://127.0.0.1:${portOf(server)}` };
}

/** Waits until a metric has this value, because metrics are collected once a second. Returns all metrics. */
function metricsWhere(internal: string, name: string, value: number) {
  return until(`${name} ${value}`, async () => {
    const metrics = await metricsOf(internal);
    return metrics.get(name) === value && metrics;
  });
}

/** The value of every sample, by name and labels. */
async function metricsOf(internal: string): Promise<Map<string, number>> {
  const { body, type } = await send(internal, 'GET', '/metrics');
  if (!type?.startsWith('text/plain')) throw new Error(`metrics came as ${type}`);
  const samples = String(body)
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}
