-- Only the triggers on orders write events: an INSERT by hand is no more allowed than an UPDATE.
CREATE OR REPLACE FUNCTION order_events_refuse_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'order_events is written by the triggers on orders: INSERT refused'
      USING ERRCODE = 'OM002';
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER order_events_20_refuse_insert BEFORE INSERT ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION order_events_refuse_insert();
