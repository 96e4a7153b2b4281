-- Returns a new uuid v7 (RFC 9562, 5.7). Postgres has such a function from version 18 on.
CREATE OR REPLACE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT encode(set_bit(set_bit(
    overlay(
      uuid_send(gen_random_uuid())
      PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
      FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid
$$;

COMMENT ON FUNCTION uuid_v7 IS 'A new uuid v7: it sorts after those of earlier milliseconds.';
