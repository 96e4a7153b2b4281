-- The hashes of the trail, version 1. Evidence depends on these functions, so they never change: a new hash gets a new
-- pair of functions with the next version number. docs/audit.md says how to compute both hashes outside the database.

-- Returns the first hash of an order's chain. It covers the order's content, which never changes.
CREATE OR REPLACE FUNCTION order_content_hash_v1(
  id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb,
  created_at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(json_build_array(
    id, user_id, product_name, amount::text, currency, metadata::text,
    extract(epoch FROM created_at)::text, xact_id::text
  )::text, 'UTF8'))
$$;

-- Returns the hash of an event. It covers the event's content and the hash of the event before it. The first event is
-- chained to the hash of the order's content.
CREATE OR REPLACE FUNCTION order_event_hash_v1(
  previous bytea, order_id uuid, version integer, from_status order_status, to_status order_status,
  actor text, reason text, job_id uuid, attempt integer, at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(previous || convert_to(json_build_array(
    order_id, version, from_status, to_status, actor, reason, job_id, attempt,
    extract(epoch FROM at)::text, xact_id::text
  )::text, 'UTF8'))
$$;

COMMENT ON FUNCTION order_content_hash_v1 IS 'sha256 of the content of an order: the start of its chain.';
COMMENT ON FUNCTION order_event_hash_v1   IS 'sha256 of an event and of the hash before it.';
