-- Numbers the steps, and keeps what must not change. Whether a step is allowed is asked of all orders of a
-- statement at once, in orders_record_change.
CREATE OR REPLACE FUNCTION orders_guard_status() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'PENDING' THEN
      RAISE EXCEPTION 'order % cannot be placed as %: an order starts PENDING', NEW.id, NEW.status
        USING ERRCODE = 'OM001';     -- OM: this application's SQLSTATE class; src/http/problem.ts maps it
    END IF;
    NEW.version := 1;
    NEW.xact_id := pg_current_xact_id();
    NEW.updated_at := now();
    RETURN NEW;
  END IF;

  -- Byte by byte (*<>): 34.9 and 34.90 are equal, in metadata too, and hash differently.
  IF ROW(NEW.id, NEW.user_id, NEW.product_name, NEW.amount, NEW.currency, NEW.metadata, NEW.created_at)::record
     OPERATOR(pg_catalog.*<>)
     ROW(OLD.id, OLD.user_id, OLD.product_name, OLD.amount, OLD.currency, OLD.metadata, OLD.created_at)::record
  THEN
    RAISE EXCEPTION 'order %: what was ordered cannot be changed', OLD.id
      USING ERRCODE = 'OM004', HINT = 'Cancel it and place another: ops.cancel_order, place_order.';
  END IF;
  NEW.version := OLD.version;
  NEW.xact_id := OLD.xact_id;
  IF NEW.status <> OLD.status THEN
    -- Two steps, if it goes via a third status.
    NEW.version := OLD.version + CASE
      WHEN nullif(current_setting('oms.via', true), '') NOT IN (OLD.status::text, NEW.status::text) THEN 2
      ELSE 1
    END;
    NEW.updated_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER orders_10_guard_status BEFORE INSERT OR UPDATE ON orders
  FOR EACH ROW EXECUTE FUNCTION orders_guard_status();
