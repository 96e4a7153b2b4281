-- An acknowledged change survives a crash of Postgres. Any login may set synchronous_commit for its own role (ALTER
-- ROLE … SET), and for the sessions that it shares in a connection pooler. An owner may have set it for a database or a
-- server, because it also saves time for other data. With less than `on`, a crash or a failover can lose the last
-- orders, although their clients have got a 201. Therefore a transaction that writes orders, accounts, sessions,
-- actions of operators, heads of the audit or marks of processes has at least synchronous_commit = on, even if a role,
-- a session, the database or the server has less.

CREATE OR REPLACE FUNCTION require_durable_commit() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- remote_apply waits for more than on does. Every other value waits for less.
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  RETURN NULL;
END $$;

COMMENT ON FUNCTION require_durable_commit IS
  'Raises, until the end of the transaction, a synchronous_commit that is lower than on.';

-- The triggers have no WHEN: Postgres prepares it anew for each statement, and that costs more than the call.
CREATE OR REPLACE TRIGGER orders_03_require_durable_commit BEFORE INSERT OR UPDATE ON orders
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER users_03_require_durable_commit BEFORE INSERT OR UPDATE ON users
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER refresh_tokens_03_require_durable_commit BEFORE INSERT OR UPDATE ON refresh_tokens
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER operator_actions_03_require_durable_commit BEFORE INSERT ON operator_actions
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER audit_heads_03_require_durable_commit BEFORE INSERT ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER process_marks_03_require_durable_commit BEFORE INSERT OR UPDATE ON process_marks
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();
