-- Which orders are not to be put back, and why.
CREATE OR REPLACE FUNCTION ops._refuse_to_put_back(placed public.orders, job pgboss.job) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  holder record;
BEGIN
  IF placed.status IN ('COMPLETED', 'CANCELLED') THEN
    RAISE EXCEPTION 'order % is %: that is final', placed.id, placed.status USING ERRCODE = 'OM006';
  END IF;

  IF job.state = 'active' THEN
    SELECT h.host, h.pid, h.alive INTO holder
    FROM ops._holds AS h
    WHERE h.queue = 'process-order' AND h.job_id = job.id AND h.attempt = job.retry_count + 1;
    IF coalesce(holder.alive, job.heartbeat_on + job.heartbeat_seconds * interval '1 second' > now(), true) THEN
      RAISE EXCEPTION 'job % is in hand of a living worker%', job.id,
          coalesce(format(' (%s:%s)', holder.host, holder.pid), '')
        USING ERRCODE = 'OM007', HINT = 'Nothing was changed. SELECT ops.explain_job(job_id) says since when.';
    END IF;
  END IF;

  IF placed.status = 'PENDING' AND job.state < 'active' AND job.start_after <= now() THEN
    RAISE EXCEPTION 'order % is PENDING and its job is due already', placed.id
      USING ERRCODE = 'OM006', HINT = 'SELECT ops.explain_job(order_id) says why it is not running.';
  END IF;
END $$;

COMMENT ON FUNCTION ops._refuse_to_put_back IS 'Refuses to put back an order that is over or in hand. Internal to schema ops.';
