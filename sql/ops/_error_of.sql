-- What went wrong, from the output of a job: an error of ours, or one that pg-boss gave.
CREATE OR REPLACE FUNCTION ops._error_of(output jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT left(coalesce(output ->> 'message', output -> 'value' ->> 'message', output ->> 'value'), 300)
$$;

COMMENT ON FUNCTION ops._error_of IS 'The error message in the output of a job. Internal to schema ops.';
