import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const HTTP_BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const BATCH_BUCKETS_ORDERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const JOB_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type Metrics = ReturnType<typeof createMetrics>;

/** Creates every metric of the service. Counters and histograms describe this process, most gauges the database. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpRequests: new Histogram({
      name: 'oms_http_request_duration_seconds',
      help: 'Duration of requests, by method, route and status.',
      labelNames: ['method', 'route', 'status'],
      buckets: HTTP_BUCKETS_SECONDS,
      registers,
    }),
    ordersPlaced: new Counter({
      name: 'oms_orders_placed_total',
      help: 'Orders committed by this process, each with its job.',
      registers,
    }),
    ordersCancelled: new Counter({
      name: 'oms_orders_cancelled_total',
      help: 'Orders cancelled through this process.',
      registers,
    }),
    ordersFinished: new Counter({
      name: 'oms_orders_finished_total',
      help: 'Orders that this worker set to COMPLETED or FAILED. Always empty in API processes.',
      labelNames: ['status'],
      registers,
    }),
    jobs: new Histogram({
      name: 'oms_job_batch_duration_seconds',
      help: 'Duration of batches of jobs in this worker, by queue and outcome.',
      labelNames: ['queue', 'outcome'],
      buckets: JOB_BUCKETS_SECONDS,
      registers,
    }),
    queueJobs: new Gauge({
      name: 'oms_queue_jobs',
      help: 'Jobs in the database, by queue and state. The same in every process: do not sum.',
      labelNames: ['queue', 'state'],
      registers,
    }),
    queueOldestSeconds: new Gauge({
      name: 'oms_queue_oldest_ready_seconds',
      help: 'Age of the oldest job that is ready to run. The same in every process: do not sum.',
      labelNames: ['queue'],
      registers,
    }),
    ...intakeMetrics(registers),
    ...auditMetrics(registers),
  };
}

function intakeMetrics(registers: Registry[]) {
  return {
    intakeBatch: new Histogram({
      name: 'oms_intake_batch_orders',
      help: 'Orders in each batch that this process committed.',
      buckets: BATCH_BUCKETS_ORDERS,
      registers,
    }),
    intakeWaiting: new Gauge({
      name: 'oms_intake_waiting_orders',
      help: 'Orders that wait in this process to be placed, at most INTAKE_QUEUE_MAX.',
      registers,
    }),
  };
}

function auditMetrics(registers: Registry[]) {
  return {
    auditViolations: new Gauge({
      name: 'oms_audit_violations',
      help: 'Violations that the newest scheduled audit found, by invariant. The same in every process: do not sum.',
      labelNames: ['invariant'],
      registers,
    }),
    auditFinished: new Gauge({
      name: 'oms_audit_finished_timestamp_seconds',
      help: 'When the newest scheduled audit finished. The same in every process.',
      registers,
    }),
  };
}
