-- The first link of an order's chain: what was ordered, which never changes. docs/audit.md says how to
-- compute both hashes elsewhere.
CREATE OR REPLACE FUNCTION order_content_hash(
  id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb,
  created_at timestamptz, xact_id xid8
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(json_build_array(
    id, user_id, product_name, amount::text, currency, metadata::text,
    extract(epoch FROM created_at)::text, xact_id::text
  )::text, 'UTF8'))
$$;
