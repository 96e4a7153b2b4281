import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const HTTP_BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const BATCH_BUCKETS_ORDERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const JOB_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type Metrics = ReturnType<typeof createMetrics>;

/** Creates every metric of the service. Gauges of queues and audits describe the database, all others this process. */
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
    ...queueMetrics(registers),
    ...healthMetrics(registers),
    ...intakeMetrics(registers),
    ...auditMetrics(registers),
  };
}

function queueMetrics(registers: Registry[]) {
  return {
    queueJobs: new Gauge({
      name: 'oms_queue_jobs',
      help: 'Jobs in the database, by queue and state. The same in every process: do not sum.',
      labelNames: ['queue', 'state'],
      registers,
    }),
    queueAtLeast: new Gauge({
      name: 'oms_queue_jobs_at_least',
      help: '1 when a count of oms_queue_jobs has reached its limit of 100,000, and there can be more jobs.',
      labelNames: ['queue'],
      registers,
    }),
    queueOldestSeconds: new Gauge({
      name: 'oms_queue_oldest_ready_seconds',
      help: 'Age of the oldest job that is ready to run. The same in every process: do not sum.',
      labelNames: ['queue'],
      registers,
    }),
    queueWorkers: new Gauge({
      name: 'oms_queue_workers',
      help: 'Living workers that take jobs from a queue. The same in every process: do not sum.',
      labelNames: ['queue'],
      registers,
    }),
    figuresAge: new Gauge({
      name: 'oms_figures_age_seconds',
      help: 'Age of the figures from the database: oms_queue_* and oms_audit_*. Before the first, since the start.',
      registers,
    }),
  };
}

function healthMetrics(registers: Registry[]) {
  return {
    ready: new Gauge({
      name: 'oms_ready',
      help: '1 when this process is ready, as /readyz says.',
      registers,
    }),
    databaseUp: new Gauge({
      name: 'oms_database_up',
      help: '1 when the database answers this process.',
      registers,
    }),
    databaseWritable: new Gauge({
      name: 'oms_database_writable',
      help: '1 when this process can write. 0 for example on a standby, or while commits hang.',
      registers,
    }),
    historyLost: new Gauge({
      name: 'oms_database_history_lost',
      help: '1 after the database has lost what it had acknowledged to this process, until the process restarts.',
      registers,
    }),
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
