-- An acknowledged change survives a crash of Postgres. Any login may set synchronous_commit for its own role (ALTER
-- ROLE … SET), and for the sessions that it shares in a connection pooler. A thief with the login of a service could
-- thus make a crash lose the last orders. Therefore a transaction that writes orders, accounts, sessions or actions of
-- operators has at least synchronous_commit = on. A setting of the server, of the database or of DATABASE_URL is the
-- owner's decision, and stays.

CREATE OR REPLACE FUNCTION require_durable_commit() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- remote_apply waits for more than on does. Every other value waits for less. Two IFs, because plpgsql evaluates a
  -- condition without a query much faster: the usual case stays cheap.
  IF current_setting('synchronous_commit') IN ('on', 'remote_apply') THEN
    RETURN NULL;
  END IF;
  IF EXISTS (
    SELECT FROM pg_settings
    WHERE name = 'synchronous_commit' AND source IN ('user', 'database user', 'session')
  ) THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  RETURN NULL;
END $$;

COMMENT ON FUNCTION require_durable_commit IS
  'Undoes, until the end of the transaction, a synchronous_commit that a role or a session has set too low.';

-- The triggers have no WHEN: Postgres prepares it anew for each statement, and that costs more than the call.
CREATE OR REPLACE TRIGGER orders_03_require_durable_commit BEFORE INSERT OR UPDATE ON orders
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER users_03_require_durable_commit BEFORE INSERT OR UPDATE ON users
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER refresh_tokens_03_require_durable_commit BEFORE INSERT OR UPDATE ON refresh_tokens
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();

CREATE OR REPLACE TRIGGER operator_actions_03_require_durable_commit BEFORE INSERT ON operator_actions
  FOR EACH STATEMENT EXECUTE FUNCTION require_durable_commit();
