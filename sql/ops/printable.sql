-- Returns a text in printable ASCII. Every other character becomes its number, as in a string of Postgres: \u00fc. So
-- a psql with any encoding can show the result, and a text from outside cannot move the cursor of a terminal.
--   psql: SELECT ops._printable(reason) FROM operator_actions;
CREATE OR REPLACE FUNCTION ops._printable(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN value !~ '[^ -~]' THEN value ELSE (
    SELECT string_agg(CASE
      WHEN c ~ '[ -~]' THEN c
      WHEN ascii(c) < 65536 THEN '\u' || lpad(to_hex(ascii(c)), 4, '0')
      ELSE '\U' || lpad(to_hex(ascii(c)), 8, '0')
    END, '' ORDER BY place)
    FROM regexp_split_to_table(value, '') WITH ORDINALITY AS s (c, place)
  ) END
$$;

COMMENT ON FUNCTION ops._printable IS 'A text in printable ASCII. Internal to schema ops.';
