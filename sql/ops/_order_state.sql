-- What an operator's action on an order leaves on record: the order and its jobs, as they are now.
CREATE OR REPLACE FUNCTION ops._order_state(order_id uuid) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT jsonb_build_object(
    'order', (
      SELECT jsonb_build_object('status', o.status, 'version', o.version)
      FROM public.orders AS o WHERE o.id = _order_state.order_id
    ),
    'job', (
      SELECT jsonb_build_object('state', j.state, 'retry_count', j.retry_count, 'retry_limit', j.retry_limit,
        'start_after', j.start_after, 'error', ops._error_of(j.output))
      FROM pgboss.job AS j WHERE j.name = 'process-order' AND j.id = _order_state.order_id
    ),
    'dead_letters', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('job_id', d.id, 'state', d.state) ORDER BY d.created_on), '[]')
      FROM pgboss.job AS d WHERE d.name = 'fail-order' AND d.source_root_id = _order_state.order_id
    )
  )
$$;

COMMENT ON FUNCTION ops._order_state IS 'An order and its jobs as JSON, for operator_actions. Internal to schema ops.';
