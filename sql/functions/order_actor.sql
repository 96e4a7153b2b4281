-- Says who acts. A transaction sets oms.actor; 'user' stands for the order's own user, so that one
-- statement can place the orders of many. Without it, the database role is on record.
CREATE OR REPLACE FUNCTION order_actor(user_id uuid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE coalesce(current_setting('oms.actor', true), '')
    WHEN ''     THEN 'role:' || session_user
    WHEN 'user' THEN 'user:' || user_id
    ELSE current_setting('oms.actor', true)
  END
$$;
