-- The format of the replies of place_orders and cancel_order, and the lock of an Idempotency-Key.

-- Returns a time as the API writes it: UTC, with milliseconds.
CREATE OR REPLACE FUNCTION iso_8601(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Returns an order as JSON, with the members and the format of the API's Order.
CREATE OR REPLACE FUNCTION order_json(o orders) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat('{"id":"', o.id, '","status":"', o.status, '","version":', o.version, ',"user_id":"', o.user_id,
    '","product_name":', to_json(o.product_name), ',"amount":"', o.amount, '","currency":"', o.currency,
    '","metadata":', o.metadata, ',"created_at":"', iso_8601(o.created_at), '","updated_at":"',
    iso_8601(o.updated_at), '"}')
$$;

-- Returns the number of the advisory lock of a key. Two keys have the same number with a probability of 2^-64. If they
-- are used at the same time, one request is refused as in use, and has to be repeated.
CREATE OR REPLACE FUNCTION idempotency_lock(user_id uuid, method text, path text, key text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended(concat_ws(' ', user_id, method, path, key), 20261127)
$$;

COMMENT ON FUNCTION iso_8601         IS 'A time as the API writes it.';
COMMENT ON FUNCTION order_json       IS 'An order as the API writes it.';
COMMENT ON FUNCTION idempotency_lock IS
  'The advisory lock that a request with an Idempotency-Key holds until its COMMIT.';
