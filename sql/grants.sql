-- All rights of each role in this database, and the reason for each. apply_grants.sql grants these rights and revokes
-- all others.
--
-- `objects`: SCHEMA, TABLE (for views too) or FUNCTION, and names with commas between them. When columns follow in
-- parentheses, the right is on these columns of the table only.
CREATE TEMPORARY TABLE wanted (grantee text, privileges text, objects text, reason text) ON COMMIT DROP;

-- oms_placer owns the functions that place orders. It cannot log in.
INSERT INTO wanted VALUES
  ('oms_placer', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_placer', 'USAGE', 'SCHEMA pgboss', 'reads the settings of the queue'),
  ('oms_placer', 'SELECT', 'TABLE pgboss.queue', 'a job gets the settings of its queue'),
  ('oms_placer', 'SELECT, INSERT', 'TABLE public.order_jobs', 'places jobs, and checks that each order has one'),
  ('oms_placer', 'SELECT', 'TABLE public.currencies', 'an amount gets the decimals of its currency'),
  ('oms_placer', 'SELECT, INSERT', 'TABLE public.orders', 'places orders, and reads them for their replies'),
  ('oms_placer', 'SELECT, INSERT, UPDATE', 'TABLE public.idempotency_keys',
    'stores replies; an expired key can be used again'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.uuid_v7', 'part of place_order'),
  ('oms_placer', 'EXECUTE', 'FUNCTION public.iso_8601, public.order_json, public.idempotency_lock',
    'part of place_orders');

-- oms_accounts owns the functions of accounts and sessions, which read hashes. It cannot log in.
INSERT INTO wanted VALUES
  ('oms_accounts', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_accounts', 'SELECT, INSERT', 'TABLE public.users (id, name, email, password_hash)',
    'register_user, log_in, password_salt, find_user'),
  ('oms_accounts', 'SELECT, DELETE', 'TABLE public.refresh_tokens',
    'the functions of sessions find families; prunes expired tokens'),
  ('oms_accounts', 'SELECT, UPDATE', 'TABLE public.users (reset_hash, reset_until)',
    'ops.reset_password, use_password_reset'),
  ('oms_accounts', 'UPDATE', 'TABLE public.users (password_hash)', 'changes and resets; log_in locks the account'),
  ('oms_accounts', 'EXECUTE', 'FUNCTION public.require_password_hash', 'part of the functions that store a hash'),
  ('oms_accounts', 'USAGE', 'SCHEMA ops', 'ops.reset_password is there'),
  ('oms_accounts', 'EXECUTE', 'FUNCTION ops._require_reason', 'part of every action'),
  ('oms_accounts', 'INSERT', 'TABLE public.operator_actions (action, user_id, reason, before, after)',
    'ops.reset_password'),
  ('oms_accounts', 'INSERT',
    'TABLE public.refresh_tokens (id, user_id, family_id, token_hash, expires_at, network, user_agent)',
    'log_in, refresh_session'),
  ('oms_accounts', 'UPDATE', 'TABLE public.refresh_tokens (used_at, revoked_at)',
    'rotation, revocation, and the lock of a family'),
  ('oms_accounts', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.attempt_counts',
    'password_salt, log_in and count_attempt limit attempts; a login deletes counts; the nightly prune'),
  ('oms_accounts', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.known_networks',
    'log_in records the networks of users; the nightly prune'),
  ('oms_accounts', 'EXECUTE',
    'FUNCTION public.network_of, public.site_of, public.account_key, public.login_scopes, public.login_refused_until, '
    'public.is_known_network, public.add_attempt, public.add_network_attempt, public.network_attempts',
    'part of password_salt, log_in and count_attempt'),
  ('oms_accounts', 'EXECUTE', 'FUNCTION public.count_failed_login, public.remember_network', 'part of log_in');

-- oms_door owns all other functions that run with their owner's rights (doors), except prepare_queue_stats. It cannot
-- log in.
INSERT INTO wanted VALUES
  ('oms_door', 'USAGE', 'SCHEMA public', 'its functions use our tables'),
  ('oms_door', 'USAGE', 'SCHEMA pgboss', 'its functions use the tables of the queue'),
  ('oms_door', 'USAGE', 'SCHEMA ops', 'the actions of operators are in schema ops'),
  ('oms_door', 'SELECT', 'TABLE public.orders', 'finds the orders that it changes'),
  ('oms_door', 'UPDATE', 'TABLE public.orders (status, changed_by, change_reason, change_job_id, change_attempt)',
    'moves orders through their lifecycle; their content never changes'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.order_events', 'the triggers on orders write the trail'),
  ('oms_door', 'SELECT', 'TABLE public.order_transitions', 'the triggers on orders check the lifecycle'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.order_jobs', 'ops.retry_order makes a missing job again'),
  ('oms_door', 'UPDATE',
    'TABLE public.order_jobs (state, retry_count, retry_limit, start_after, started_on, heartbeat_on, completed_on, '
    'keep_until, expire_seconds, dead_letter, output)',
    'settles, cancels and puts back jobs'),
  ('oms_door', 'SELECT', 'TABLE pgboss.job', 'finds dead letters, and the jobs of a dead worker'),
  ('oms_door', 'UPDATE',
    'TABLE pgboss.job (state, retry_limit, start_after, started_on, heartbeat_on, completed_on, keep_until, output)',
    'settles dead letters, restarts jobs, gives back those of a dead worker, and repairs times'),
  ('oms_door', 'UPDATE', 'TABLE pgboss.queue (monitor_claim_on, monitor_on, maintain_on, retained_on, delta_on)',
    'repairs times after a step back of the clock'),
  ('oms_door', 'SELECT, UPDATE', 'TABLE pgboss.version (cron_on, monitor_backoff_on)',
    'repairs times after a step back of the clock'),
  ('oms_door', 'SELECT', 'TABLE pgboss.queue', 'settings of queues'),
  ('oms_door', 'SELECT', 'TABLE pgboss.instance', 'finds out whether a worker is alive'),
  ('oms_door', 'EXECUTE', 'FUNCTION pgboss.job_now', 'the clock of pg-boss'),
  ('oms_door', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.idempotency_keys',
    'stores replies to cancellations; prunes expired keys'),
  ('oms_door', 'SELECT', 'TABLE public.audit_heads', 'checks that a new head continues the newest one'),
  ('oms_door', 'SELECT, INSERT', 'TABLE public.operator_actions', 'records the actions of operators'),
  ('oms_door', 'SELECT, INSERT, DELETE', 'TABLE public.paused_queues', 'pauses and resumes queues'),
  ('oms_door', 'SELECT, UPDATE, DELETE', 'TABLE public.running_batches', 'gives back the jobs of a dead worker'),
  ('oms_door', 'SELECT', 'TABLE ops._running_jobs', 'finds the worker that runs a job'),
  ('oms_door', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.process_marks',
    'leave_mark: processes notice when the database has lost a mark'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_content_hash_v1, public.order_event_hash_v1, public.order_steps',
    'part of the trail'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.order_has_job', 'part of the check at COMMIT'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.is_superusers_own', 'part of the triggers that limit the login of a worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION public.iso_8601, public.order_json, public.idempotency_lock',
    'part of cancel_order'),
  ('oms_door', 'EXECUTE',
    'FUNCTION public.worker_actor, public.refuse_repeated_jobs, public.claimed, public.holds_claim',
    'part of the doors of the worker'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._alive', 'part of ops.release_worker and ops.backlog'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._printable', 'part of every action, and of ops.explain_job'),
  ('oms_door', 'EXECUTE',
    'FUNCTION ops._alive_workers, ops._at, ops._error_of, ops._explain_order, ops._explain_active, '
    'ops._explain_waiting, ops._explain_ended, ops._explain_missing',
    'part of ops.explain_job'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._require_reason', 'part of every action'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._lock_queue', 'part of ops.pause_queue, ops.resume_queue and ops.redrive'),
  ('oms_door', 'EXECUTE',
    'FUNCTION ops._order_state, ops._lock_order, ops._cancel_dead_letters, ops._refuse_to_put_back, ops._put_back',
    'part of ops.retry_order'),
  ('oms_door', 'EXECUTE', 'FUNCTION ops._restart_job', 'part of ops.redrive');

-- oms_api is the login of the API. It writes only through doors. It reads the columns that it shows to customers.
INSERT INTO wanted VALUES
  ('oms_api', 'USAGE', 'SCHEMA public', 'its doors are there'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.place_orders', 'POST /orders'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.cancel_order', 'PUT /orders/{id}/cancellation'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.register_user', 'POST /auth/register'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.password_salt, public.log_in', 'POST /auth/login'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.count_attempt', 'limits registrations, resets and failed refreshes'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.refresh_session', 'POST /auth/refresh'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.end_session', 'POST /auth/logout'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.end_all_sessions', 'POST /auth/logout-everywhere'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.find_user', 'GET /auth/me'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.change_password', 'POST /auth/password'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.use_password_reset', 'POST /auth/password-reset'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.live_sessions', 'accepts access tokens only while their sessions live'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.list_sessions, public.end_own_session', '/auth/sessions'),
  ('oms_api', 'SELECT',
    'TABLE public.orders (id, status, version, user_id, product_name, amount, currency, metadata, created_at, '
    'updated_at)',
    'GET /orders; without the actor of the newest change'),
  ('oms_api', 'SELECT', 'TABLE public.customer_events', 'GET /orders/{id}/events; without the texts for operators'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.reason_code', 'part of customer_events'),
  ('oms_api', 'USAGE', 'SCHEMA pgboss', '/readyz'),
  ('oms_api', 'SELECT', 'TABLE public.migrations, pgboss.version', '/readyz'),
  ('oms_api', 'USAGE', 'SCHEMA ops, audit', '/metrics'),
  ('oms_api', 'SELECT', 'TABLE ops.durability', '/readyz'),
  ('oms_api', 'EXECUTE', 'FUNCTION public.leave_mark', '/readyz'),
  ('oms_api', 'SELECT', 'TABLE audit.runs', '/metrics'),
  ('oms_api', 'EXECUTE', 'FUNCTION ops.backlog', '/metrics');

-- oms_worker is the login of the worker. It writes orders only through doors. In the queue it writes the rows that
-- pg-boss's fetch, fail and supervise write. It owns and creates nothing. It may not write the SQL that pg-boss
-- executes (bam), or the names that pg-boss puts into the text of statements (queue.table_name).
INSERT INTO wanted VALUES
  ('oms_worker', 'USAGE', 'SCHEMA public', 'its doors are there'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.process_orders', 'processes orders without claims'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.complete_orders', 'settles claimed orders'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.take_orders', 'takes orders for their external step'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.settle_orders', 'settles orders after the answer of the external step'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.fail_orders', 'settles dead letters'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.postpone_jobs', 'postpones attempts when the external step asks for it'),
  ('oms_worker', 'EXECUTE',
    'FUNCTION public.prune_idempotency_keys, public.prune_refresh_tokens, public.prune_attempts', 'the nightly prune'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.prepare_queue_stats',
    'makes the tables for statistics, which a worker cannot create'),
  ('oms_worker', 'SELECT', 'TABLE public.migrations', 'checks that the database is migrated'),
  ('oms_worker', 'SELECT', 'TABLE public.paused_queues', 'takes no jobs from a paused queue'),
  ('oms_worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE public.running_batches', 'reports the batches that it runs'),
  ('oms_worker', 'USAGE', 'SCHEMA pgboss', 'the queue'),
  ('oms_worker', 'EXECUTE', 'FUNCTION pgboss.job_now', 'the clock of pg-boss'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.version', 'checks the version of the queue'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.version (cron_on, monitor_backoff_on)',
    'the workers agree on which one runs the schedules'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.queue', 'settings of queues'),
  ('oms_worker', 'UPDATE',
    'TABLE pgboss.queue (deferred_count, blocked_count, queued_count, ready_count, active_count, failed_count, '
    'total_count, retained_count, retained_on, created_delta, completed_delta, failed_delta, delta_on, delta_seconds, '
    'wait_bins, run_bins, ready_oldest_seconds, ready_history, singletons_active, monitor_claim_on, monitor_on, '
    'maintain_on)',
    'counts jobs, and records when it counted'),
  ('oms_worker', 'SELECT, INSERT, DELETE', 'TABLE pgboss.job',
    'a retry is a DELETE and an INSERT; dead letters; retention'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.job (state, retry_count, started_on, heartbeat_on, completed_on, output)',
    'claims and settles jobs'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.job_common (blocked, pending_dependencies)',
    'pg-boss writes their present values when it completes the jobs that send scheduled jobs'),
  ('oms_worker', 'SELECT, DELETE', 'TABLE pgboss.job_dependency', 'retention'),
  ('oms_worker', 'SELECT', 'TABLE pgboss.schedule', 'the schedules'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.schedule (last_job_id)', 'records the job that it sent for a schedule'),
  ('oms_worker', 'SELECT, INSERT, UPDATE, DELETE', 'TABLE pgboss.instance', 'records its heartbeats'),
  ('oms_worker', 'SELECT, INSERT, DELETE', 'TABLE pgboss.warning', 'records warnings, and keeps them for 30 days'),
  ('oms_worker', 'SELECT, INSERT', 'TABLE pgboss.queue_stats', 'statistics'),
  ('oms_worker', 'UPDATE', 'TABLE pgboss.queue_stats (created_delta, completed_delta, failed_delta)',
    'adds the jobs that were committed after the count'),
  ('oms_worker', 'USAGE', 'SCHEMA ops', '/metrics'),
  ('oms_worker', 'SELECT', 'TABLE ops.durability', '/readyz'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.leave_mark', '/readyz'),
  ('oms_worker', 'EXECUTE', 'FUNCTION public.repair_future_times', 'after a step back of the clock'),
  ('oms_worker', 'SELECT', 'TABLE audit.runs', '/metrics'),
  ('oms_worker', 'EXECUTE', 'FUNCTION ops.backlog', '/metrics'),
  ('oms_worker', 'USAGE', 'SCHEMA audit', 'runs the scheduled audit, and signs the daily heads'),
  ('oms_worker', 'SELECT', 'TABLE audit.violations', 'the scheduled audit'),
  ('oms_worker', 'SELECT', 'TABLE audit.heads, public.order_events', 'the daily heads'),
  ('oms_worker', 'EXECUTE', 'FUNCTION audit.events_digest', 'the daily heads'),
  ('oms_worker', 'EXECUTE',
    'FUNCTION audit.bound_on_progress, public.order_content_hash_v1, public.order_event_hash_v1',
    'part of audit.violations'),
  ('oms_worker', 'SELECT', 'TABLE public.orders (id, status, updated_at, xact_id)',
    'finds the orders that the scheduled audit checks'),
  ('oms_worker', 'SELECT, INSERT', 'TABLE public.audit_heads', 'adds heads; they never change'),
  ('oms_worker', 'SELECT, DELETE', 'TABLE public.audit_runs', 'keeps runs for 30 days'),
  ('oms_worker', 'INSERT', 'TABLE public.audit_runs (started_at, finished_at, to_xid, orders, violations, watched)',
    'adds runs; the newest one has the highest id');

-- Operators read views and call functions, and have no rights on the tables.
INSERT INTO wanted VALUES
  ('oms_dba_read', 'USAGE', 'SCHEMA ops', 'the views'),
  ('oms_dba_read', 'EXECUTE',
    'FUNCTION ops._printable, ops._percentile, ops._error_of, ops._alive, ops._live_bytes, public.reason_code',
    'a view calls its functions with the rights of its reader'),
  ('oms_dba_read', 'EXECUTE', 'FUNCTION ops.explain_job, ops.backlog', 'only read'),
  ('oms_dba', 'USAGE', 'SCHEMA public', 'place_order is there'),
  ('oms_dba', 'EXECUTE', 'FUNCTION public.place_order', 'places an order for a customer'),
  ('oms_dba', 'EXECUTE',
    'FUNCTION ops.retry_order, ops.cancel_order, ops.redrive, ops.pause_queue, ops.resume_queue, ops.release_worker, '
    'ops.reset_password',
    'the actions of operators: each leaves a row in ops.actions');
INSERT INTO wanted
  SELECT 'oms_dba_read', 'SELECT', format('TABLE %s', oid::regclass), 'every view of ours in schema ops'
  FROM pg_class WHERE relnamespace::regnamespace::text = 'ops' AND relkind = 'v' AND relowner = 'oms_owner'::regrole;

-- Auditors read the invariants, and the evidence behind them.
INSERT INTO wanted VALUES
  ('oms_auditor', 'USAGE', 'SCHEMA public, pgboss', 'the evidence'),
  ('oms_auditor', 'USAGE', 'SCHEMA audit', 'the invariants'),
  ('oms_auditor', 'SELECT', 'TABLE public.orders, public.order_events, public.order_transitions, public.order_jobs',
    'the evidence'),
  ('oms_auditor', 'SELECT', 'TABLE pgboss.job', 'the evidence'),
  ('oms_auditor', 'SELECT',
    'TABLE public.idempotency_keys (user_id, method, path, key, fingerprint, status, order_id, xact_id, created_at, '
    'expires_at)',
    'the evidence; not the replies'),
  ('oms_auditor', 'SELECT', 'TABLE public.migrations', 'which version made the database'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION public.order_content_hash_v1, public.order_event_hash_v1',
    'recomputes the trail'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION audit.bound_on_progress', 'part of audit.violations'),
  ('oms_auditor', 'EXECUTE', 'FUNCTION audit.events_digest', 'recomputes the heads');
INSERT INTO wanted
  SELECT 'oms_auditor', 'SELECT', format('TABLE %s', oid::regclass), 'every view of ours in schema audit'
  FROM pg_class WHERE relnamespace::regnamespace::text = 'audit' AND relkind = 'v' AND relowner = 'oms_owner'::regrole;

-- pg-boss reads and writes the table of a queue by the name of that table.
INSERT INTO wanted
  SELECT w.grantee, w.privileges, replace(w.objects, 'pgboss.job', format('pgboss.%I', t.table_name)), w.reason
  FROM wanted AS w, (SELECT DISTINCT q.table_name FROM pgboss.queue AS q) AS t
  WHERE w.objects ~ '^TABLE pgboss\.job( |$)' AND w.grantee IN ('oms_worker', 'oms_auditor');

-- Postgres shows the statistics of a table only to roles that may read the table. ops._live_bytes reads statistics.
INSERT INTO wanted
  SELECT DISTINCT 'oms_door', 'SELECT', format('TABLE pgboss.%I', q.table_name), 'part of ops.health'
  FROM pgboss.queue AS q;
