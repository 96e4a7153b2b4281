-- What the roles need of this database. Run by every migrate when it is a superuser, or the database's owner,
-- who runs it; changes nothing that is there already.
DO $$
BEGIN
  EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO oms_owner', current_database());
  EXECUTE format('GRANT CREATE ON DATABASE %I TO oms_queue', current_database());
  -- WITH GRANT OPTION: while migrate runs, oms_owner lets the owners of SECURITY DEFINER functions create.
  GRANT USAGE, CREATE ON SCHEMA public TO oms_owner WITH GRANT OPTION;
  -- A database from before Postgres 15 lets everybody create there, and so stand in for what we call.
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
END $$;
