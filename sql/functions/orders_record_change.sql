-- Refuses what the lifecycle does not have, and records the rest. The event before is looked up order by
-- order: as a join, its plan was made while the table was small, and read the whole of it for every batch.
CREATE OR REPLACE FUNCTION orders_record_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  -- Read once, here: in the statement below it would be once per order.
  via      order_status := nullif(current_setting('oms.via', true), '');
  acting   text         := order_actor(NULL); -- NULL: the user of each order
  because  text         := nullif(current_setting('oms.reason', true), '');
  attempts jsonb        := nullif(current_setting('oms.attempts', true), '');
  xact     xid8         := pg_current_xact_id();
BEGIN
  INSERT INTO order_events
    (order_id, version, from_status, to_status, actor, reason, job_id, attempt, at, xact_id, hash)
  SELECT c.id, step.version, step.from_status,
    CASE WHEN EXISTS (
      SELECT FROM order_transitions AS t WHERE t.from_status = step.from_status AND t.to_status = step.to_status
    ) THEN step.to_status ELSE order_step_refused(c.id, step.from_status, step.to_status) END,
    c.actor, because, c.job_id, c.attempt, step.at, xact, step.hash
  FROM (
    SELECT c.*, order_event_hash(coalesce(c.previous, ''), -- one that is missing is for the audit to tell
      c.id, c.first_version, c.from_status, c.first_status, c.actor, because, c.job_id, c.attempt, c.first_at, xact
    ) AS first_hash
    FROM (
      SELECT n.id, o.version + 1 AS first_version, n.version AS last_version, o.status AS from_status,
        CASE WHEN n.version > o.version + 1 THEN via ELSE n.status END AS first_status, n.status AS last_status,
        coalesce(acting, 'user:' || n.user_id) AS actor,
        (attempts -> n.id::text ->> 0)::uuid AS job_id,
        (attempts -> n.id::text ->> 1)::integer AS attempt,
        clock_timestamp() AS first_at, clock_timestamp() AS last_at,
        (SELECT p.hash FROM order_events AS p WHERE p.order_id = n.id AND p.version = o.version) AS previous
      FROM new_orders AS n
      JOIN old_orders AS o USING (id)
      WHERE n.status <> o.status
    ) AS c
    OFFSET 0 -- not merged into the query around it, which would compute the hash twice
  ) AS c
  CROSS JOIN LATERAL (
    SELECT c.first_version AS version, c.from_status, c.first_status AS to_status, c.first_at AS at,
      c.first_hash AS hash
    UNION ALL
    SELECT c.last_version, c.first_status, c.last_status, c.last_at, order_event_hash(c.first_hash,
      c.id, c.last_version, c.first_status, c.last_status, c.actor, because, c.job_id, c.attempt, c.last_at, xact)
    WHERE c.last_version > c.first_version
  ) AS step;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER orders_30_record_change AFTER UPDATE ON orders
  REFERENCING OLD TABLE AS old_orders NEW TABLE AS new_orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_record_change();
