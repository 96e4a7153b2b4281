CREATE OR REPLACE FUNCTION audit_heads_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_heads is append-only: % refused', TG_OP USING ERRCODE = 'OM002';
END $$;

CREATE OR REPLACE TRIGGER audit_heads_10_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION audit_heads_refuse_change();
