-- The events of orders as their customers see them. The login of the API may read this view, but not order_events.
-- That table also has texts for the people who run the service: reasons of operators, texts of errors and of the
-- external step, names of hosts and roles. ops.order_timeline shows these texts and the code for the customer.

-- Returns the code of an event's reason, or NULL for an event without one. The code follows from columns that the hash
-- of the event covers. The comments name what writes such an event. src/orders/events.ts has a sentence for each code.
CREATE OR REPLACE FUNCTION reason_code(e order_events) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN e.actor LIKE 'role:%' THEN CASE
      WHEN e.from_status IS NULL THEN 'placed-by-staff'         -- place_order
      WHEN e.to_status = 'CANCELLED' THEN 'cancelled-by-staff'  -- ops.cancel_order
      WHEN e.to_status = 'PENDING' THEN 'retried-by-staff'      -- ops.retry_order, ops.redrive
      ELSE 'changed-by-staff'                                   -- an UPDATE by hand
    END
    WHEN e.to_status = 'FAILED' THEN CASE
      WHEN e.job_id = e.order_id THEN 'fulfilment-refused'      -- settle_orders: the job of the order
      ELSE 'attempts-used-up'                                   -- fail_orders: a dead letter
    END
  END
$$;

-- `actor` is `you` (the user of the order), `staff` (a role that wrote from psql, or called a function of schema ops)
-- or `system` (a worker).
CREATE OR REPLACE VIEW customer_events AS
SELECT
  e.order_id,
  e.version,
  e.from_status,
  e.to_status,
  CASE WHEN e.actor LIKE 'user:%' THEN 'you' WHEN e.actor LIKE 'role:%' THEN 'staff' ELSE 'system' END AS actor,
  reason_code(e) AS reason_code,
  e.at
FROM order_events AS e;

COMMENT ON FUNCTION reason_code IS 'The code of an event''s reason, as customers see it.';
COMMENT ON VIEW customer_events IS 'order_events as customers see them: who, in one word, and a code for the reason.';
