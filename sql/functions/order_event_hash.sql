-- The hash of an event: its content, chained to the event before it, or to the order for the first.
CREATE OR REPLACE FUNCTION order_event_hash(
  previous bytea, order_id uuid, version integer, from_status order_status, to_status order_status,
  actor text, reason text, job_id uuid, attempt integer, at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(previous || convert_to(json_build_array(
    order_id, version, from_status, to_status, actor, reason, job_id, attempt,
    extract(epoch FROM at)::text, xact_id::text
  )::text, 'UTF8'))
$$;
