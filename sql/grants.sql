-- What each role may do in this database. Run by every migrate, last, as oms_owner.

-- In schema public only what is ours: an extension may have its functions there.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ops, audit FROM PUBLIC;
DO $$
DECLARE
  ours regprocedure;
BEGIN
  FOR ours IN
    SELECT oid FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND pg_get_userbyid(proowner) IN ('oms_owner', 'oms_door')
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
  END LOOP;
END $$;

-- The API: users and their sessions; orders in, status out; jobs in.
GRANT USAGE ON SCHEMA public, pgboss, ops TO oms_api;
GRANT SELECT ON migrations, order_events, order_transitions TO oms_api;
GRANT SELECT, INSERT ON orders TO oms_api;
GRANT UPDATE (status) ON orders TO oms_api;
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO oms_api; -- a key that has expired is used again
GRANT SELECT ON ops.queues TO oms_api;                -- for /metrics
GRANT SELECT ON pgboss.version, pgboss.queue TO oms_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON pgboss.instance TO oms_api; -- says that it is alive
GRANT INSERT ON pgboss.warning TO oms_api;
GRANT EXECUTE ON FUNCTION pgboss.job_now() TO oms_api;

-- The worker: every row of the queue, no object of it; of orders, only the status.
GRANT USAGE ON SCHEMA public, pgboss, ops TO oms_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgboss TO oms_worker;
GRANT SELECT ON migrations, orders, order_events, order_transitions TO oms_worker;
GRANT UPDATE (status) ON orders TO oms_worker;
GRANT SELECT, DELETE, UPDATE (expires_at) ON idempotency_keys TO oms_worker; -- the prune; it locks before it deletes
GRANT SELECT ON ops.queues TO oms_worker;
GRANT SELECT ON paused_queues TO oms_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON worker_holds TO oms_worker;

-- People. What they may see is in the views; the tables behind them are not theirs to read.
GRANT USAGE ON SCHEMA ops TO oms_dba_read;
GRANT SELECT ON ALL TABLES IN SCHEMA ops TO oms_dba_read;
-- A function in a view needs the right of whoever reads the view.
GRANT EXECUTE ON FUNCTION ops._percentile(bigint[], numeric), ops._error_of(jsonb), ops._alive(pgboss.instance),
  ops._live_bytes(oid, bigint), ops.explain_job(uuid) TO oms_dba_read;
GRANT USAGE ON SCHEMA public TO oms_dba;
GRANT EXECUTE ON FUNCTION place_order(uuid, text, numeric, text, jsonb) TO oms_dba;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ops TO oms_dba;

-- Auditors: the invariants, and the evidence behind them.
GRANT USAGE ON SCHEMA public, pgboss, audit TO oms_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO oms_auditor;
GRANT SELECT ON orders, order_events, order_transitions, migrations, migration_checksums TO oms_auditor;
GRANT SELECT (user_id, method, path, key, fingerprint, status, order_id, xact_id, created_at, expires_at)
  ON idempotency_keys TO oms_auditor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA audit TO oms_auditor;
GRANT EXECUTE ON FUNCTION
  order_content_hash(uuid, uuid, text, numeric, text, jsonb, timestamptz, xid8),
  order_event_hash(bytea, uuid, integer, order_status, order_status, text, text, uuid, integer, timestamptz, xid8)
  TO oms_auditor;

-- The worker runs the audit by schedule, and signs the daily heads. Both tables are append-only for it, but
-- for the runs that it prunes. The API shows the newest run in /metrics.
GRANT USAGE ON SCHEMA audit TO oms_worker, oms_api;
GRANT SELECT ON audit.runs TO oms_api;
GRANT SELECT ON audit.violations, audit.heads, audit.runs, audit_runs, audit_heads TO oms_worker;
GRANT INSERT ON audit_heads, audit_runs TO oms_worker;
GRANT DELETE ON audit_runs TO oms_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA audit TO oms_worker;
GRANT EXECUTE ON FUNCTION
  order_content_hash(uuid, uuid, text, numeric, text, jsonb, timestamptz, xid8),
  order_event_hash(bytea, uuid, integer, order_status, order_status, text, text, uuid, integer, timestamptz, xid8)
  TO oms_worker;

-- pg-boss inserts into a queue's own table, so the API needs each by name. SELECT is for RETURNING id.
DO $$
DECLARE
  job_table text;
BEGIN
  FOR job_table IN SELECT DISTINCT table_name FROM pgboss.queue UNION SELECT 'job' LOOP
    EXECUTE format('GRANT SELECT, INSERT ON pgboss.%I TO oms_api', job_table);
    EXECUTE format('GRANT SELECT ON pgboss.%I TO oms_auditor', job_table);
  END LOOP;
END $$;

-- The statistics of the queue have a table per day, which workers make and drop.
GRANT CREATE ON SCHEMA pgboss TO oms_worker;
DO $$
DECLARE
  statistics regclass;
BEGIN
  FOR statistics IN
    SELECT oid FROM pg_class
    WHERE relnamespace = 'pgboss'::regnamespace AND relname LIKE 'queue\_stats%' AND relkind IN ('r', 'p')
  LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO oms_worker', statistics);
  END LOOP;
END $$;
