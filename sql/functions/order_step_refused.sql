CREATE OR REPLACE FUNCTION order_step_refused(order_id uuid, from_status order_status, to_status order_status)
RETURNS order_status LANGUAGE plpgsql STABLE AS $$
BEGIN
  RAISE EXCEPTION 'order % cannot go from % to %', order_id, from_status, to_status
    USING ERRCODE = 'OM001', HINT = 'TABLE order_transitions lists what is allowed.';
END $$;
