-- Limits what a writer of orders can decide. An order starts PENDING, and its content never changes. Only the door
-- functions set the actor and the reason of a change; for every other writer the actor is the login role.
-- (The SQLSTATEs of class OM belong to this service; docs/dba.md lists them.)

-- How many steps of the lifecycle a change of status takes. The trail records each step.
CREATE OR REPLACE FUNCTION order_steps(from_status order_status, to_status order_status) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN from_status = 'PENDING' AND to_status IN ('COMPLETED', 'FAILED') THEN 2 ELSE 1 END
$$;

-- Checks the status and the amount of a new order, and sets the columns that its writer does not decide.
CREATE OR REPLACE FUNCTION orders_guard_insert() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
  exact numeric := (SELECT round(NEW.amount, c.decimals) FROM currencies AS c WHERE c.code = NEW.currency);
BEGIN
  IF exact IS DISTINCT FROM NEW.amount THEN
    RAISE EXCEPTION '% % is not a valid amount: unknown currency, or more decimals than the currency has',
        NEW.amount, NEW.currency
      USING ERRCODE = '23514', CONSTRAINT = 'orders_amount_ck', HINT = 'TABLE currencies lists the known currencies.';
  END IF;
  NEW.amount := exact; -- 34.9 USD becomes 34.90
  IF NEW.status <> 'PENDING' THEN
    RAISE EXCEPTION 'order % cannot be placed as %: an order starts PENDING', NEW.id, NEW.status
      USING ERRCODE = 'OM001';
  END IF;
  NEW.changed_by := 'role:' || session_user;
  NEW.change_reason := NULL;
  NEW.version := 1;
  NEW.xact_id := pg_current_xact_id();
  NEW.created_at := now();
  NEW.updated_at := now();
  NEW.changed_from := NULL;
  NEW.change_job_id := NULL;
  NEW.change_attempt := NULL;
  RETURN NEW;
END $$;

-- Refuses a change of the content, and numbers the steps of a change of status. orders_record_change checks, once per
-- statement, that the lifecycle allows them.
CREATE OR REPLACE FUNCTION orders_guard_update() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
  -- Compares byte by byte (*<>): 34.9 and 34.90 are equal numbers, also inside metadata, but have different hashes.
  IF ROW(NEW.id, NEW.user_id, NEW.product_name, NEW.amount, NEW.currency, NEW.metadata, NEW.created_at)::record
     OPERATOR(pg_catalog.*<>)
     ROW(OLD.id, OLD.user_id, OLD.product_name, OLD.amount, OLD.currency, OLD.metadata, OLD.created_at)::record
  THEN
    RAISE EXCEPTION 'order %: its content cannot be changed', OLD.id
      USING ERRCODE = 'OM004', HINT = 'Cancel it and place another order: ops.cancel_order, place_order.';
  END IF;
  NEW.xact_id := OLD.xact_id;

  IF NEW.status = OLD.status THEN
    NEW.version := OLD.version;
    NEW.updated_at := OLD.updated_at;
    NEW.changed_from := NULL;
    NEW.changed_by := OLD.changed_by;
    NEW.change_reason := OLD.change_reason;
    NEW.change_job_id := OLD.change_job_id;
    NEW.change_attempt := OLD.change_attempt;
    RETURN NEW;
  END IF;

  IF current_user <> 'oms_door' THEN
    NEW.changed_by := 'role:' || session_user;
    NEW.change_reason := NULL;
    NEW.change_job_id := NULL;
    NEW.change_attempt := NULL;
  END IF;
  -- A worker's attempt may end a PENDING order in one statement: that is two steps, through PROCESSING.
  NEW.version := OLD.version + order_steps(OLD.status, NEW.status);
  IF NEW.version = OLD.version + 2 AND NEW.change_attempt IS NULL THEN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
  END IF;
  NEW.changed_from := OLD.status;
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END $$;

COMMENT ON FUNCTION order_steps         IS 'How many steps of the lifecycle a change of status takes.';
COMMENT ON FUNCTION orders_guard_insert IS
  'Refuses a new order that is not PENDING (OM001) or has a wrong amount, and sets what its writer does not decide.';
COMMENT ON FUNCTION orders_guard_update IS 'Refuses a change of content (OM004), numbers the steps, sets the actor.';

-- Skips the rows of place_orders, because a call for each row costs more than the checks. orders_check_placed checks
-- those rows together, after the INSERT.
CREATE OR REPLACE TRIGGER orders_10_guard_insert BEFORE INSERT ON orders
  FOR EACH ROW WHEN (current_user::text <> 'oms_placer') EXECUTE FUNCTION orders_guard_insert();

CREATE OR REPLACE TRIGGER orders_10_guard_update BEFORE UPDATE ON orders
  FOR EACH ROW EXECUTE FUNCTION orders_guard_update();
