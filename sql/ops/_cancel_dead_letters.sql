-- Takes back the dead letters of an order that nobody has dealt with: one that is left would set the order
-- FAILED after it was tried again. One that a worker has in hand is OM007.
CREATE OR REPLACE FUNCTION ops._cancel_dead_letters(order_id uuid) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  letter record;
BEGIN
  FOR letter IN
    SELECT d.id, d.state FROM pgboss.job AS d
    WHERE d.name = 'fail-order' AND d.source_root_id = _cancel_dead_letters.order_id
      AND d.state NOT IN ('completed', 'cancelled')
    FOR UPDATE NOWAIT
  LOOP
    IF letter.state = 'active' THEN
      RAISE EXCEPTION 'a worker is about to set order % FAILED (job %)', order_id, letter.id
        USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
    END IF;
    UPDATE pgboss.job AS d SET state = 'cancelled', completed_on = pgboss.job_now()
    WHERE d.name = 'fail-order' AND d.id = letter.id;
  END LOOP;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'a dead letter of order % is locked by another transaction', order_id
    USING ERRCODE = 'OM007', HINT = 'Nothing was changed. Try again in a moment.';
END $$;

COMMENT ON FUNCTION ops._cancel_dead_letters IS 'Takes back the open dead letters of an order. Internal to schema ops.';
