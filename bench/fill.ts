/*
 * Fills a migrated database with orders, their events and valid hashes, and the jobs of the newest orders in every
 * state. All invariants hold. It is about a hundred times faster than placing the orders, because it switches triggers
 * off. For this (session_replication_role) it must log in as a superuser.
 */
import type { Client } from 'pg';

const CHUNK_ORDERS = 100_000;
const USERS = 10_000;
const WORKERS = 20;

/** The number of orders, and of jobs. 5 % of the orders with a job have failed, and have a dead letter too. */
type Size = { orders: number; jobs: number };

type Progress = (done: number) => void;

/** Fills the database, oldest order first, and vacuums it. Calls `onProgress` with the number of orders so far. */
export async function fill(db: Client, { orders, jobs }: Size, onProgress: Progress = () => {}) {
  await db.query(`SET session_replication_role = replica`);
  const steps = [ORDERS_SQL, EVENTS_SQL, JOBS_SQL, DEAD_LETTERS_SQL];
  await fillOrders(db, { orders, withJob: Math.floor(jobs / 1.05), steps }, onProgress);
  await db.query(WORKERS_SQL, [WORKERS]);
  await db.query(RUNNING_BATCHES_SQL);
  await db.query(STATISTICS_SQL);
  await db.query(COUNTERS_SQL);
  await db.query(`SET session_replication_role = origin`);
  await db.query('VACUUM (ANALYZE)');
}

/**
 * Queues this number of orders in a migrated database, oldest first: all are PENDING, each with its job. Calls
 * `onProgress` with the number of orders so far.
 */
export async function fillQueue(db: Client, orders: number, onProgress: Progress = () => {}) {
  await db.query(`SET session_replication_role = replica`);
  const steps = [`UPDATE planned SET job_state = 'created'`, ORDERS_SQL, EVENTS_SQL, JOBS_SQL];
  await fillOrders(db, { orders, withJob: orders, steps }, onProgress);
  await db.query(`SET session_replication_role = origin`);
  await db.query('VACUUM (ANALYZE)');
}

/** Stores users, plans orders chunk by chunk, and runs the steps, which store the planned orders. */
async function fillOrders(
  db: Client,
  { orders, withJob, steps }: { orders: number; withJob: number; steps: string[] },
  onProgress: Progress,
) {
  await db.query(FUNCTIONS);
  await db.query(USERS_SQL, [USERS]);
  for (let from = 0; from < orders; from += CHUNK_ORDERS) {
    const to = Math.min(from + CHUNK_ORDERS, orders);
    await db.query('BEGIN');
    await db.query(PLAN_SQL, [orders - to, orders - from - 1, withJob, USERS]);
    for (const step of steps) await db.query(step);
    await db.query('DROP TABLE planned');
    await db.query('COMMIT');
    onProgress(to);
  }
}

// n counts back from the newest order, which is 0. The orders are 0.227 s apart, so 2,000,000 of them take five days.
const FUNCTIONS = `
  CREATE FUNCTION pg_temp.uuid_at(at timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
      || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
  $$`;

const USERS_SQL = `
  INSERT INTO users (id, name, email, password_hash)
  SELECT md5('user' || n)::uuid, 'User ' || n, 'user-' || n || '@example.test', 'none'
  FROM generate_series(1, $1) AS n`;

const PLAN_SQL = `
  CREATE TEMPORARY TABLE planned AS
  SELECT pg_temp.uuid_at(placed_at, n) AS id, n, placed_at, n < $3 AS has_job,
    md5('user' || n % $4 + 1)::uuid AS user_id,
    CASE
      WHEN n >= $3 THEN CASE WHEN n % 1000 < 5 THEN 'failed' WHEN n % 1000 < 25 THEN 'cancelled' ELSE 'completed' END
      WHEN n % 100 < 45 THEN 'created'
      WHEN n % 100 < 50 THEN 'retry'
      WHEN n % 100 < 54 THEN 'active'
      WHEN n % 100 < 59 THEN 'failed'
      WHEN n % 100 < 60 THEN 'cancelled'
      ELSE 'completed'
    END AS job_state
  FROM (
    SELECT n, now() - n * interval '0.227 seconds' AS placed_at
    FROM generate_series($1::bigint, $2::bigint) AS n
  ) AS each
  ORDER BY n DESC`;

const ORDERS_SQL = `
  INSERT INTO orders (id, status, version, user_id, product_name, amount, metadata, created_at, updated_at, xact_id,
    changed_by, change_job_id, change_attempt)
  SELECT id,
    (CASE job_state WHEN 'created' THEN 'PENDING' WHEN 'retry' THEN 'PROCESSING' WHEN 'active' THEN 'PROCESSING'
      ELSE upper(job_state) END)::order_status,
    CASE job_state WHEN 'created' THEN 1 WHEN 'completed' THEN 3 WHEN 'failed' THEN 3 ELSE 2 END,
    user_id, 'Product ' || n % 5000, ((1 + n % 90000) / 100.0)::numeric(12, 2),
    jsonb_build_object('channel', 'web', 'campaign', n % 40), placed_at,
    placed_at + CASE WHEN job_state = 'created' THEN '0' ELSE '1 second' END::interval, pg_current_xact_id(),
    CASE WHEN by_worker THEN 'worker:host:1' END, CASE WHEN by_worker THEN id END, CASE WHEN by_worker THEN 1 END
  FROM (SELECT *, job_state NOT IN ('created', 'cancelled') AS by_worker FROM planned) AS p`;

// The chain of hashes: the hash of an event covers its content and the hash of the event before.
const EVENTS_SQL = `
  WITH first AS (
    SELECT o.id, o.status, o.version, o.created_at, o.xact_id, 'user:' || o.user_id AS actor, order_event_hash_v1(
      order_content_hash_v1(o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata, o.created_at, o.xact_id),
      o.id, 1, NULL, 'PENDING', 'user:' || o.user_id, NULL, NULL, NULL, o.created_at, o.xact_id) AS hash
    FROM planned AS p JOIN orders AS o ON o.id = p.id
  ), second AS (
    SELECT f.id, f.status, f.version, f.xact_id, f.hash AS previous, f.created_at + interval '1 second' AS at,
      CASE f.status WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'PROCESSING' END::order_status AS to_status,
      CASE f.status WHEN 'CANCELLED' THEN f.actor ELSE 'worker:host:1' END AS actor,
      CASE f.status WHEN 'CANCELLED' THEN NULL ELSE f.id END AS job_id,
      CASE f.status WHEN 'CANCELLED' THEN NULL ELSE 1 END AS attempt
    FROM first AS f WHERE f.version >= 2
  ), second_hashed AS (
    SELECT s.*, order_event_hash_v1(
      s.previous, s.id, 2, 'PENDING', s.to_status, s.actor, NULL, s.job_id, s.attempt, s.at, s.xact_id
    ) AS hash
    FROM second AS s
  )
  INSERT INTO order_events (order_id, version, from_status, to_status, actor, job_id, attempt, at, xact_id, hash)
  SELECT id, 1, NULL::order_status, 'PENDING'::order_status, actor, NULL::uuid, NULL::integer, created_at, xact_id,
    hash
  FROM first
  UNION ALL
  SELECT id, 2, 'PENDING', to_status, actor, job_id, attempt, at, xact_id, hash FROM second_hashed
  UNION ALL
  SELECT id, 3, 'PROCESSING', status, actor, job_id, attempt, at, xact_id,
    order_event_hash_v1(hash, id, 3, 'PROCESSING', status, actor, NULL, job_id, attempt, at, xact_id)
  FROM second_hashed WHERE version = 3`;

const JOB_COLUMNS = `retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds, deletion_seconds,
  keep_until, policy, dead_letter, heartbeat_seconds`;
const QUEUE_VALUES = `q.retry_limit, q.retry_delay, q.retry_backoff, q.retry_delay_max, q.expire_seconds,
  q.deletion_seconds, now() + q.retention_seconds * interval '1 second', q.policy, q.dead_letter, q.heartbeat_seconds`;
const OUTPUT = `'{"name": "Error", "message": "warehouse answered 503", "stack": "Error: warehouse answered 503"}'`;

// Heartbeats are a day in the future, so no job and no worker counts as dead while the bench runs.
const JOBS_SQL = `
  INSERT INTO pgboss.job (id, name, data, state, retry_count, created_on, start_after, started_on, heartbeat_on,
    completed_on, output, ${JOB_COLUMNS})
  SELECT p.id, q.name, jsonb_build_object('order_id', p.id, 'xact_id', pg_current_xact_id()::text),
    p.job_state::pgboss.job_state, CASE p.job_state WHEN 'failed' THEN 12 WHEN 'retry' THEN 2 ELSE 0 END, p.placed_at,
    CASE p.job_state WHEN 'retry' THEN now() + p.n % 300 * interval '1 second' ELSE p.placed_at END,
    CASE WHEN p.job_state NOT IN ('created', 'cancelled') THEN p.placed_at + interval '1 second' END,
    CASE p.job_state WHEN 'active' THEN now() + interval '1 day' END,
    CASE WHEN p.job_state IN ('completed', 'cancelled', 'failed') THEN p.placed_at + interval '1.1 seconds' END,
    CASE WHEN p.job_state IN ('retry', 'failed') THEN ${OUTPUT}::jsonb END, ${QUEUE_VALUES}
  FROM planned AS p CROSS JOIN pgboss.queue AS q
  WHERE p.has_job AND q.name = 'process-order'`;

const DEAD_LETTERS_SQL = `
  INSERT INTO pgboss.job (id, name, data, state, created_on, start_after, started_on, completed_on, source_name,
    source_id, source_root_id, source_created_on, source_retry_count, source_output, ${JOB_COLUMNS})
  SELECT gen_random_uuid(), q.name, j.data, 'completed', j.completed_on, j.completed_on,
    j.completed_on + interval '1 second', j.completed_on + interval '1 second', j.name, j.id, j.id, j.created_on,
    j.retry_count, j.output, ${QUEUE_VALUES}
  FROM planned AS p
  JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = p.id
  CROSS JOIN pgboss.queue AS q
  WHERE p.job_state = 'failed' AND q.name = 'fail-order'`;

const WORKERS_SQL = `
  INSERT INTO pgboss.instance (id, name, host, pid, version, node_version, heartbeat_seconds, supervise, schedule,
    migrate, persist_queue_stats, persist_warnings, workers, heartbeat_on)
  SELECT gen_random_uuid(), 'worker', 'host-' || n, 1, '12.38.0', '26', 3, true, true, true, true, true,
    '[{"queue": "process-order"}, {"queue": "fail-order"}]', now() + interval '1 day'
  FROM generate_series(1, $1) AS n`;

const RUNNING_BATCHES_SQL = `
  INSERT INTO running_batches (worker_id, poller, queue, job_ids, attempts)
  SELECT (array_agg(w.id))[1], 'process-order/' || poller, 'process-order', array_agg(j.id), array_agg(1)
  FROM (
    SELECT id, row_number() OVER () % (SELECT count(*) FROM pgboss.instance WHERE name = 'worker') AS number,
      row_number() OVER () % 2 AS poller
    FROM pgboss.job WHERE name = 'process-order' AND state = 'active'
  ) AS j
  JOIN (SELECT id, row_number() OVER () - 1 AS number FROM pgboss.instance WHERE name = 'worker') AS w USING (number)
  GROUP BY w.id, poller`;

// The same rows as after a day in which pg-boss wrote its statistics every 2 s.
const STATISTICS_SQL = `
  CREATE TABLE IF NOT EXISTS pgboss.queue_stats_filled PARTITION OF pgboss.queue_stats DEFAULT;
  INSERT INTO pgboss.queue_stats (name, ready_count, created_delta, completed_delta, failed_delta, delta_seconds,
    delta_on, wait_bins, run_bins, captured_on)
  SELECT q.name, n % 500, 400, 390, 3, 2, at - interval '10 seconds', bins, bins, at
  FROM pgboss.queue AS q
  CROSS JOIN (SELECT n, now() - n * interval '2 seconds' AS at FROM generate_series(0, 43199) AS n) AS pass
  CROSS JOIN (
    SELECT array_agg(CASE WHEN slot BETWEEN 5 AND 30 THEN slot END) AS bins FROM generate_series(1, 48) AS slot
  ) AS b`;

const COUNTERS_SQL = `
  UPDATE pgboss.queue AS q SET ready_count = c.ready, deferred_count = c.deferred, active_count = c.active,
    failed_count = c.failed, ready_oldest_seconds = 43000, monitor_on = now(), delta_on = now()
  FROM (
    SELECT name, count(*) FILTER (WHERE state < 'active' AND start_after <= now()) AS ready,
      count(*) FILTER (WHERE state < 'active' AND start_after > now()) AS deferred,
      count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'failed') AS failed
    FROM pgboss.job GROUP BY name
  ) AS c
  WHERE c.name = q.name`;
