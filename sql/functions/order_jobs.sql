-- The jobs of orders: queue process-order. pg-boss keeps this queue in a table of its own, whose name is a hash of the
-- name of the queue. In sql/, only this file and order_jobs_guard.sql contain the name of the table. An order has one
-- row, whose id is the id of the order. `row_id` is the physical position of the row: valid while the row is locked.
CREATE OR REPLACE VIEW order_jobs AS
SELECT ctid AS row_id, id, name, data, state, priority, blocked, start_after, retry_count, retry_limit, retry_delay,
  retry_backoff, retry_delay_max, expire_seconds, heartbeat_seconds, deletion_seconds, keep_until, policy,
  dead_letter, output, created_on, started_on, heartbeat_on, completed_on
FROM pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b
WHERE name = 'process-order';

DO $$
BEGIN
  IF 'j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b' IS DISTINCT FROM
     (SELECT q.table_name FROM pgboss.queue AS q WHERE q.name = 'process-order') THEN
    RAISE EXCEPTION 'queue process-order is not in the table that order_jobs reads';
  END IF;
END $$;

COMMENT ON VIEW order_jobs IS 'The jobs of queue process-order: one per order, with the order''s id.';
