-- The order of a job, and what it came from when it is a dead letter: the rest of the first line.
CREATE OR REPLACE FUNCTION ops._explain_order(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN o.id IS NOT NULL THEN format(', order %s', o.status) ELSE '' END
    || CASE WHEN job.source_name IS NOT NULL THEN
         format(E'\nA dead letter: job %s of queue %s was given up after %s attempt(s)%s.', job.source_id,
           job.source_name, job.source_retry_count + 1, coalesce(': ' || ops._error_of(job.source_output), ''))
       ELSE '' END
  FROM (SELECT) AS one
  LEFT JOIN public.orders AS o ON o.id = CASE
    WHEN job.name = 'process-order' THEN job.id
    WHEN job.source_name = 'process-order' THEN job.source_root_id
  END
$$;

COMMENT ON FUNCTION ops._explain_order IS 'Part of ops.explain_job: the order, the source. Internal to schema ops.';
