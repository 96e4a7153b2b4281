-- What to say of an id that no job has: an order's, whose job is gone, or nobody's (OM005).
CREATE OR REPLACE FUNCTION ops._explain_missing(job_id uuid) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  placed public.orders;
BEGIN
  SELECT o.* INTO placed FROM public.orders AS o WHERE o.id = _explain_missing.job_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no job %, and no order', job_id
      USING ERRCODE = 'OM005', HINT = 'SELECT job_id FROM ops.jobs WHERE queue = ''…'' LIMIT 20 shows some.';
  END IF;
  IF placed.status IN ('PENDING', 'PROCESSING') THEN
    RETURN format('Order %s is %s and has no job, so that nobody will process it: SELECT ops.retry_order(%L, reason).',
      placed.id, placed.status, placed.id);
  END IF;
  RETURN format('Order %s is %s since %s. Its job is gone: jobs are deleted a day after they end.',
    placed.id, placed.status, ops._at(placed.updated_at));
END $$;

COMMENT ON FUNCTION ops._explain_missing IS 'Part of ops.explain_job: an id without a job. Internal to schema ops.';
