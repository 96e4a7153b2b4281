-- Makes tables append-only for every role. Only superusers and the owner of a table can disable its triggers.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'OM002';
END $$;

COMMENT ON FUNCTION refuse_change IS 'Refuses the statement: the table is append-only (OM002).';

CREATE OR REPLACE TRIGGER operator_actions_10_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER audit_heads_10_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER order_events_10_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Orders change, but cannot be deleted: their events and keys refer to them without a foreign key.
CREATE OR REPLACE FUNCTION orders_refuse_delete() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'orders are never deleted: % refused', TG_OP
    USING ERRCODE = 'OM002', HINT = 'ops.cancel_order cancels an order.';
END $$;

COMMENT ON FUNCTION orders_refuse_delete IS 'Refuses to delete orders (OM002).';

CREATE OR REPLACE TRIGGER orders_05_refuse_delete BEFORE DELETE OR TRUNCATE ON orders
  FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse_delete();
