-- How a job ended that will not run any more, and what can be done about it.
CREATE OR REPLACE FUNCTION ops._explain_ended(job pgboss.job) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE job.state
    WHEN 'completed' THEN format('Completed at %s, by attempt %s.', ops._at(job.completed_on), job.retry_count + 1)
    WHEN 'cancelled' THEN format('Cancelled at %s%s.', ops._at(job.completed_on), coalesce((
      SELECT format(': %s cancelled the order%s', e.actor, ' (' || e.reason || ')')
      FROM public.order_events AS e
      WHERE job.name = 'process-order' AND e.order_id = job.id AND e.to_status = 'CANCELLED'
    ), ''))
    ELSE format('Failed for good at %s, after %s attempt(s): %s.', ops._at(job.completed_on), job.retry_count + 1,
        coalesce(ops._error_of(job.output), 'no error given'))
      || coalesce((
        SELECT format(' Dead-lettered: job %s of queue %s, which is %s.', d.id, d.name, d.state)
        FROM pgboss.job AS d
        WHERE d.name = job.dead_letter AND d.source_root_id = coalesce(job.source_root_id, job.id)
        ORDER BY d.created_on DESC LIMIT 1
      ), '')
      || CASE WHEN job.name = 'process-order'
        THEN format(' SELECT ops.retry_order(%L, reason) tries it again.', job.id)
        ELSE format(' SELECT * FROM ops.redrive(%L) tries failed jobs again.', job.name) END
  END
$$;

COMMENT ON FUNCTION ops._explain_ended IS 'Part of ops.explain_job: a job that is over. Internal to schema ops.';
