-- All rights of each role in this database, and the reason for each. Every migrate runs this file last, as oms_owner.
-- It grants the listed rights, and revokes all other rights of these roles and of PUBLIC on our objects. Rights that
-- you granted to your own roles stay.
--
-- `object` is a SCHEMA, a TABLE (or view; with columns in parentheses only those), or a FUNCTION.
CREATE TEMPORARY TABLE wanted (grantee text, privileges text, object text, reason text) ON COMMIT DROP;

-- Owns the functions that place orders. It cannot log in.
INSERT INTO wanted VALUES
  ('oms_placer', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_placer', 'USAGE', 'SCHEMA pgboss', 'reads the settings of the queue'),
  ('oms_placer', 'SELECT', 'TABLE pgboss.queue', 'a job gets the settings of its queue'),
  ('oms_placer', 'INSERT', 'TABLE public.order_jobs', 'places jobs'),
  ('oms_placer', 'SELECT, INSERT', 'TABLE public.orders', 'places orders, and writes replies from them'),
  ('oms_placer', 'SELECT, INSERT, UPDATE', 'TABLE public.idempotency_keys', 'stores replies; an expired key is used again'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.uuid_v7', 'part of place_order'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.iso_8601', 'part of place_orders'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.order_json', 'part of place_orders'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.idempotency_lock', 'part of place_orders');

-- Owns the functions of accounts and sessions, which read hashes. It cannot log in.
INSERT INTO wanted VALUES
  ('oms_accounts', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_accounts', 'SELECT, INSERT', 'TABLE public.users (id, name, email, password_hash)',
    'register_user, log_in, find_user; an account is never changed'),
  ('oms_accounts', 'SELECT, DELETE', 'TABLE public.refresh_tokens', 'refresh_session and end_session find the family; prunes'),
  ('oms_accounts', 'INSERT', 'TABLE public.refresh_tokens (id, user_id, family_id, token_hash, expires_at)',
    'log_in, refresh_session'),
  ('oms_accounts', 'UPDATE', 'TABLE public.refresh_tokens (used_at, revoked_at)',
    'rotation, revocation, and the lock of a family');

-- Owns all other functions that run with their owner's rights (doors). It cannot log in.
INSERT INTO wanted VALUES
  ('oms_door', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_door', 'USAGE', 'SCHEMA pgboss', 'its functions use the tables of the queue'),
  ('oms_door', 'USAGE', 'SCHEMA ops', 'the actions of operators are in schema ops'),
  ('oms_door', 'SELECT', 'TABLE public.orders', 'finds what it changes'),
  ('oms_door', 'UPDATE', 'TABLE public.orders (status, changed_by, change_reason, change_job_id, change_attempt)',
    'moves orders through their lifecycle; their content never changes'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.order_events', 'the triggers on orders write the trail'),
  ('oms_door', 'SELECT', 'TABLE public.order_transitions', 'the lifecycle'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.order_jobs', 'ops.retry_order makes a missing job again'),
  ('oms_door', 'UPDATE',
    'TABLE public.order_jobs (state, retry_count, retry_limit, start_after, started_on, heartbeat_on, completed_on, keep_until, expire_seconds, dead_letter, output)',
    'settles, cancels and puts back jobs'),
  ('oms_door', 'SELECT', 'TABLE pgboss.job', 'finds dead letters, and the jobs of a dead worker'),
  ('oms_door', 'UPDATE',
    'TABLE pgboss.job (state, retry_limit, start_after, heartbeat_on, completed_on, keep_until, output)',
    'settles dead letters, restarts jobs, releases those of a dead worker'),
  ('oms_door', 'SELECT', 'TABLE pgboss.queue', 'settings of queues'),
  ('oms_door', 'SELECT', 'TABLE pgboss.instance', 'whether a worker lives'),
  ('oms_door', 'EXECUTE', 'FUNCTION pgboss.job_now', 'the time as pg-boss has it'),
  ('oms_door', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.idempotency_keys', 'replies to cancellations; prunes keys'),
  ('oms_door', 'SELECT', 'TABLE public.audit_heads', 'a new head continues the newest one'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.operator_actions', 'records the actions of operators'),
  ('oms_door', 'SELECT, INSERT, DELETE', 'TABLE public.paused_queues', 'pauses and resumes queues'),
  ('oms_door', 'SELECT, UPDATE, DELETE', 'TABLE public.running_batches', 'releases what a dead worker holds'),
  ('oms_door', 'SELECT', 'TABLE ops._holds', 'which worker holds a job'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_content_hash_v1', 'part of the trail'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_event_hash_v1', 'part of the trail'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_has_job', 'part of the check at COMMIT'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.is_superusers_own', 'part of the triggers that keep jobs and guard rows'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.iso_8601', 'part of cancel_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_json', 'part of cancel_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.idempotency_lock', 'part of cancel_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.refuse_repeated_jobs', 'part of the doors of the worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.worker_actor', 'part of the doors of the worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.holds_claim', 'part of the doors of the worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.claimed', 'part of the doors of the worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_steps', 'part of the trail'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._alive', 'part of ops.release_worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._alive_workers', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._at', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._error_of', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._explain_order', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._explain_active', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._explain_waiting', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._explain_ended', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._explain_missing', 'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._require_reason', 'part of every action'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._lock_queue', 'part of ops.pause_queue'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._order_state', 'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._lock_order', 'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._cancel_dead_letters', 'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._refuse_to_put_back', 'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._put_back', 'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._restart_job', 'part of ops.redrive');

-- The API. It writes only through doors. It reads the columns that it shows to customers.
INSERT INTO wanted VALUES
  ('oms_api', 'USAGE', 'SCHEMA public', 'its doors are there'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.place_orders', 'POST /orders'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.cancel_order', 'PUT /orders/{id}/cancellation'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.register_user', 'POST /auth/register'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.password_salt', 'POST /auth/login'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.log_in', 'POST /auth/login'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.refresh_session', 'POST /auth/refresh'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.end_session', 'POST /auth/logout'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.end_all_sessions', 'POST /auth/logout-everywhere'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.find_user', 'GET /auth/me'),
  ('oms_api', 'SELECT',
    'TABLE public.orders (id, status, version, user_id, product_name, amount, currency, metadata, created_at, updated_at)',
    'GET /orders; without the actor of the newest change'),
  ('oms_api', 'SELECT', 'TABLE public.order_events (order_id, version, from_status, to_status, actor, reason, at)',
    'GET /orders/{id}/events'),
  ('oms_api', 'SELECT', 'TABLE public.migrations', '/readyz'),
  ('oms_api', 'USAGE', 'SCHEMA pgboss', '/readyz'),
  ('oms_api', 'SELECT', 'TABLE pgboss.version', '/readyz'),
  ('oms_api', 'USAGE', 'SCHEMA ops', '/metrics'),
  ('oms_api', 'SELECT', 'TABLE ops.queues', '/metrics'),
  ('oms_api', 'EXECUTE', 'FUNCTION ops._percentile', 'a view calls its functions with the rights of its reader'),
  ('oms_api', 'USAGE', 'SCHEMA audit', '/metrics'),
  ('oms_api', 'SELECT', 'TABLE audit.runs', '/metrics');

-- The worker. It writes orders only through doors. In the queue it writes the rows that pg-boss's fetch, fail and
-- supervise write. It owns and creates nothing. It may not write what pg-boss executes or puts into the text of
-- statements: bam, queue.table_name.
INSERT INTO wanted VALUES
  ('oms_worker', 'USAGE', 'SCHEMA public', 'its doors are there'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.process_orders', 'processes orders without claims'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.complete_orders', 'settles claimed orders'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.take_orders', 'takes orders for their external step'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.settle_orders', 'settles the answers of the external step'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.fail_orders', 'settles dead letters'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.postpone_jobs', 'postpones attempts when the external step asks for it'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.prune_idempotency_keys', 'the nightly prune'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.prune_refresh_tokens', 'the nightly prune'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.prepare_queue_stats', 'tables for statistics, which it may not create itself'),
  ('oms_worker', 'SELECT', 'TABLE public.migrations', 'checks that the database is migrated'),
  ('oms_worker', 'SELECT', 'TABLE public.paused_queues', 'takes no jobs from a paused queue'),
  ('oms_worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.running_batches', 'shows which jobs it holds'),
  ('oms_worker', 'USAGE', 'SCHEMA pgboss', 'the queue'),
  ('oms_worker', 'EXECUTE', 'FUNCTION pgboss.job_now', 'the time as pg-boss has it'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.version', 'checks the version of the queue'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.version (cron_on, monitor_backoff_on)',
    'which worker runs the schedules'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.queue', 'settings of queues'),
  ('oms_worker', 'UPDATE',
    'TABLE pgboss.queue (deferred_count, blocked_count, queued_count, ready_count, active_count, failed_count, total_count, retained_count, retained_on, created_delta, completed_delta, failed_delta, delta_on, delta_seconds, wait_bins, run_bins, ready_oldest_seconds, ready_history, singletons_active, monitor_claim_on, monitor_on, maintain_on)',
    'counts jobs, and records when it counted'),
  ('oms_worker', 'SELECT, INSERT, DELETE', 'TABLE pgboss.job', 'retries are a DELETE and an INSERT; dead letters; retention'),
  ('oms_worker', 'UPDATE',
    'TABLE pgboss.job (state, retry_count, started_on, heartbeat_on, completed_on, output)',
    'claims and settles'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.job_common (blocked, pending_dependencies)',
    'pg-boss writes their present values when it completes the jobs that send scheduled jobs'),
  ('oms_worker', 'SELECT, DELETE', 'TABLE pgboss.job_dependency', 'retention'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.schedule', 'the schedules'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.schedule (last_job_id)', 'records the job that it sent for a schedule'),
  ('oms_worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE pgboss.instance', 'records that it is alive'),
  ('oms_worker', 'SELECT, INSERT, DELETE', 'TABLE pgboss.warning', 'warnings, for 30 days'),
  ('oms_worker', 'SELECT, INSERT', 'TABLE pgboss.queue_stats', 'statistics'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.queue_stats (created_delta, completed_delta, failed_delta)',
    'adds what was committed after the count'),
  ('oms_worker', 'USAGE', 'SCHEMA ops', '/metrics'),
  ('oms_worker', 'SELECT', 'TABLE ops.queues', '/metrics'),
  ('oms_worker', 'EXECUTE', 'FUNCTION ops._percentile', 'a view calls its functions with the rights of its reader'),
  ('oms_worker', 'USAGE', 'SCHEMA audit', 'runs the audit by schedule, and signs the daily heads'),
  ('oms_worker', 'SELECT', 'TABLE audit.violations', 'the scheduled audit'),
  ('oms_worker', 'SELECT', 'TABLE audit.heads', 'the daily heads'),
  ('oms_worker', 'SELECT', 'TABLE audit.runs', '/metrics'),
  ('oms_worker', 'EXECUTE', 'FUNCTION audit.bound_on_progress', 'part of audit.violations'),
  ('oms_worker', 'EXECUTE', 'FUNCTION audit.events_digest', 'the daily heads'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.order_content_hash_v1', 'part of audit.violations'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.order_event_hash_v1', 'part of audit.violations'),
  ('oms_worker', 'SELECT', 'TABLE public.order_events', 'the daily heads'),
  ('oms_worker', 'SELECT', 'TABLE public.orders (id, status, updated_at, xact_id)', 'which orders the scheduled audit looks at'),
  ('oms_worker', 'SELECT, INSERT', 'TABLE public.audit_heads', 'adds heads; they are never changed'),
  ('oms_worker', 'SELECT, DELETE', 'TABLE public.audit_runs', 'runs are kept for 30 days'),
  ('oms_worker', 'INSERT', 'TABLE public.audit_runs (started_at, finished_at, to_xid, orders, violations, watched)',
    'adds runs; the newest one has the highest id');

-- Operators. They read views and call functions, and have no rights on the tables.
INSERT INTO wanted VALUES
  ('oms_dba_read', 'USAGE', 'SCHEMA ops', 'the views'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops._percentile', 'part of ops.queues'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops._error_of', 'part of ops.jobs'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops._alive', 'part of ops.workers'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops._live_bytes', 'part of ops.health'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops.explain_job', 'only reads'),
  ('oms_dba', 'USAGE', 'SCHEMA public', 'place_order is there'),
  ('oms_dba', 'EXECUTE', 'FUNCTION public.place_order', 'places an order for a customer'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.retry_order', 'leaves a row in ops.actions'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.cancel_order', 'leaves a row in ops.actions'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.redrive', 'leaves a row in ops.actions'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.pause_queue', 'leaves a row in ops.actions'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.resume_queue', 'leaves a row in ops.actions'),
  ('oms_dba', 'EXECUTE', 'FUNCTION ops.release_worker', 'leaves a row in ops.actions');
INSERT INTO wanted
  SELECT 'oms_dba_read', 'SELECT', format('TABLE %s', oid::regclass), 'every view of ours in schema ops'
  FROM pg_class WHERE relnamespace::regnamespace::text = 'ops' AND relkind = 'v' AND relowner = 'oms_owner'::regrole;

-- Auditors: the invariants, and the evidence behind them.
INSERT INTO wanted VALUES
  ('oms_auditor', 'USAGE', 'SCHEMA public', 'the evidence'),
  ('oms_auditor', 'USAGE', 'SCHEMA pgboss', 'the jobs'),
  ('oms_auditor', 'USAGE', 'SCHEMA audit', 'the invariants'),
  ('oms_auditor', 'SELECT', 'TABLE public.orders', 'the evidence'),
  ('oms_auditor', 'SELECT', 'TABLE public.order_events', 'the evidence'),
  ('oms_auditor', 'SELECT', 'TABLE public.order_transitions', 'the evidence'),
  ('oms_auditor', 'SELECT', 'TABLE public.order_jobs', 'the evidence'),
  ('oms_auditor', 'SELECT', 'TABLE public.migrations', 'which version made the database'),
  ('oms_auditor', 'SELECT',
    'TABLE public.idempotency_keys (user_id, method, path, key, fingerprint, status, order_id, xact_id, created_at, expires_at)',
    'the evidence; not the replies'),
  ('oms_auditor', 'SELECT', 'TABLE pgboss.job', 'the evidence'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION public.order_content_hash_v1', 'recomputes the trail'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION public.order_event_hash_v1', 'recomputes the trail'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION audit.bound_on_progress', 'part of audit.violations'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION audit.events_digest', 'recomputes the heads');
INSERT INTO wanted
  SELECT 'oms_auditor', 'SELECT', format('TABLE %s', oid::regclass), 'every view of ours in schema audit'
  FROM pg_class WHERE relnamespace::regnamespace::text = 'audit' AND relkind = 'v' AND relowner = 'oms_owner'::regrole;

-- pg-boss reads and writes the table of a queue by its own name.
INSERT INTO wanted
  SELECT w.grantee, w.privileges, replace(w.object, 'pgboss.job', format('pgboss.%I', t.table_name)), w.reason
  FROM wanted AS w, (SELECT DISTINCT q.table_name FROM pgboss.queue AS q) AS t
  WHERE w.object ~ '^TABLE pgboss\.job( |$)' AND w.grantee IN ('oms_worker', 'oms_auditor');

-- Postgres shows the statistics of a table only to roles that may read it; ops._live_bytes needs them.
INSERT INTO wanted
  SELECT DISTINCT 'oms_door', 'SELECT', format('TABLE pgboss.%I', q.table_name), 'part of ops.health'
  FROM pgboss.queue AS q;

-- From here on: the statements that apply the list.

-- One row per privilege, object and column: first the wanted rights, then the actual ones.
CREATE TEMPORARY VIEW wanted_rights AS
SELECT DISTINCT w.grantee, p.privilege, o.kind, o.name, c.column_name
FROM wanted AS w
CROSS JOIN LATERAL regexp_match(w.object, '^(SCHEMA|TABLE|FUNCTION) ([^ ]+)(?: \((.*)\))?$') AS m
CROSS JOIN LATERAL (SELECT m[1] AS kind, CASE m[1]
  WHEN 'TABLE' THEN m[2]::regclass::text
  WHEN 'FUNCTION' THEN m[2]::regproc::regprocedure::text
  ELSE m[2] END AS name) AS o
CROSS JOIN LATERAL regexp_split_to_table(w.privileges, ', ') AS p(privilege)
CROSS JOIN LATERAL regexp_split_to_table(coalesce(m[3], ''), ', ') AS c(column_name);

-- A GRANT OPTION counts as a right of its own, and is never wanted.
CREATE TEMPORARY VIEW actual_rights AS
SELECT coalesce(r.rolname, 'PUBLIC') AS grantee, p.privilege, a.kind, a.name, a.column_name
FROM (
  SELECT 'SCHEMA' AS kind, n.nspname::text AS name, '' AS column_name, x.grantee, x.privilege_type, x.is_grantable, n.nspowner AS owner
  FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
  WHERE n.nspname IN ('pgboss', 'ops', 'audit') OR n.nspname = 'public' AND x.privilege_type = 'USAGE' AND x.grantee <> 0
  UNION ALL
  SELECT 'TABLE', c.oid::regclass::text, '', x.grantee, x.privilege_type, x.is_grantable, c.relowner
  FROM pg_class AS c, aclexplode(c.relacl) AS x
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
  UNION ALL
  SELECT 'TABLE', c.oid::regclass::text, t.attname, x.grantee, x.privilege_type, x.is_grantable, c.relowner
  FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid AND NOT t.attisdropped, aclexplode(t.attacl) AS x
  WHERE c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
  UNION ALL
  SELECT 'FUNCTION', p.oid::regprocedure::text, '', x.grantee, x.privilege_type, x.is_grantable, p.proowner
  FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
  WHERE p.pronamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
) AS a
CROSS JOIN LATERAL (
  VALUES (a.privilege_type), (CASE WHEN a.is_grantable THEN 'GRANT OPTION FOR ' || a.privilege_type END)
) AS p(privilege)
LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE p.privilege IS NOT NULL
  AND (pg_get_userbyid(a.owner) IN ('oms_owner', 'oms_queue', 'oms_placer', 'oms_accounts', 'oms_door')
    OR a.kind = 'SCHEMA' AND a.name = 'public')
  AND a.grantee <> a.owner
  AND (a.grantee = 0 OR r.rolname IN
    ('oms_placer', 'oms_accounts', 'oms_door', 'oms_api', 'oms_worker', 'oms_dba_read', 'oms_dba', 'oms_auditor'));

DO $$
DECLARE
  change record;
BEGIN
  FOR change IN SELECT * FROM actual_rights EXCEPT SELECT * FROM wanted_rights ORDER BY name, grantee LOOP
    EXECUTE format('REVOKE %s%s ON %s %s FROM %s CASCADE', change.privilege,
      CASE WHEN change.column_name <> '' THEN format(' (%I)', change.column_name) END, change.kind, change.name,
      CASE change.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(change.grantee) END);
  END LOOP;
  -- GRANT after REVOKE: revoking a right on a table also revokes it on the table's columns.
  FOR change IN SELECT * FROM wanted_rights EXCEPT SELECT * FROM actual_rights ORDER BY name, grantee LOOP
    EXECUTE format('GRANT %s%s ON %s %s TO %I', change.privilege,
      CASE WHEN change.column_name <> '' THEN format(' (%I)', change.column_name) END, change.kind, change.name,
      change.grantee);
  END LOOP;

  -- Row policies can hide rows from the functions and the audit.
  FOR change IN
    SELECT c.oid::regclass AS name FROM pg_class AS c
    WHERE c.relrowsecurity AND c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
      AND pg_get_userbyid(c.relowner) IN ('oms_owner', 'oms_queue')
    ORDER BY 1
  LOOP
    RAISE WARNING 'row security is enabled on %, which no table of the service needs', change.name;
  END LOOP;
END $$;

DROP VIEW wanted_rights, actual_rights;
