-- Accounts and sessions. Nobody but the doors reads or writes these tables: a password hash or a token hash
-- is compared there, and given to no caller. To be merged into grants.sql.

-- What earlier versions gave. REVOKE ALL on a table takes back the rights on its columns too.
REVOKE ALL ON users, refresh_tokens FROM PUBLIC, oms_api, oms_worker, oms_dba_read, oms_dba, oms_auditor, oms_door;
REVOKE ALL ON FUNCTION
  register_user(uuid, text, text, text), find_user(uuid), password_salt(text),
  log_in(text, text, uuid, bytea, integer), refresh_session(bytea, uuid, bytea, integer),
  end_session(bytea), end_all_sessions(uuid), prune_refresh_tokens()
  FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO oms_door;
GRANT SELECT (id, name, email, password_hash) ON users TO oms_door; -- password_salt and log_in compare, find_user shows
GRANT INSERT (id, name, email, password_hash) ON users TO oms_door; -- register_user; an account is never changed
GRANT SELECT ON refresh_tokens TO oms_door;                         -- refresh_session and end_session find the family
GRANT INSERT (id, user_id, family_id, token_hash, expires_at) ON refresh_tokens TO oms_door; -- log_in, refresh_session
GRANT UPDATE (used_at, revoked_at) ON refresh_tokens TO oms_door;   -- rotation, revocation, and the lock of a family
GRANT DELETE ON refresh_tokens TO oms_door;                         -- prune_refresh_tokens

GRANT EXECUTE ON FUNCTION
  register_user(uuid, text, text, text), find_user(uuid), password_salt(text),
  log_in(text, text, uuid, bytea, integer), refresh_session(bytea, uuid, bytea, integer),
  end_session(bytea), end_all_sessions(uuid)
  TO oms_api;
GRANT EXECUTE ON FUNCTION prune_refresh_tokens() TO oms_worker;
