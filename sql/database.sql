-- Prepares this database before migrate creates anything in it: gives the owners their rights, and removes rights that
-- make attacks possible. migrate runs this file as the user of DATABASE_URL, if that user is a superuser, or owns the
-- database and its schema public. Otherwise such a user must run it once. When nothing has to change, the file changes
-- nothing.
DO $$
DECLARE
  extra    record;
  grantees text[] := '{oms_placer, oms_accounts, oms_door, oms_api, oms_worker, oms_dba_read, oms_dba, oms_auditor}';
BEGIN
  IF NOT has_database_privilege('oms_owner', current_database(), 'CREATE')
     OR NOT has_database_privilege('oms_queue', current_database(), 'CREATE') THEN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO oms_owner, oms_queue', current_database());
  END IF;
  IF NOT has_schema_privilege('oms_owner', 'public', 'CREATE WITH GRANT OPTION') THEN
    GRANT USAGE, CREATE ON SCHEMA public TO oms_owner WITH GRANT OPTION;
  END IF;
  -- Only oms_owner may create temporary objects, because temporary functions and operators could replace those that we
  -- call. grants.sql and apply_grants.sql need a temporary table and views. The deployment decides which roles may
  -- connect.
  IF EXISTS (
    SELECT FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS acl
    WHERE d.datname = current_database() AND acl.grantee = 0 AND acl.privilege_type = 'TEMPORARY'
  ) THEN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO oms_owner', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
  -- Services, people and the owners of functions may create nothing.
  FOR extra IN
    SELECT format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM %I CASCADE', d.datname, r.rolname) AS statement
    FROM pg_database AS d, aclexplode(d.datacl) AS acl JOIN pg_roles AS r ON r.oid = acl.grantee
    WHERE d.datname = current_database() AND r.rolname = ANY (grantees) AND acl.privilege_type <> 'CONNECT'
    UNION
    SELECT format('REVOKE CREATE ON SCHEMA public FROM %I CASCADE', r.rolname)
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS acl JOIN pg_roles AS r ON r.oid = acl.grantee
    WHERE n.nspname = 'public' AND r.rolname = ANY (grantees) AND acl.privilege_type = 'CREATE'
  LOOP
    EXECUTE extra.statement;
  END LOOP;
  -- A database from before Postgres 15 lets every role create objects in schema public. Such an object could replace
  -- one that we call.
  IF EXISTS (
    SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS acl
    WHERE n.nspname = 'public' AND acl.grantee = 0 AND acl.privilege_type = 'CREATE'
  ) THEN
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  END IF;
  -- By default any login, even a read-only one, may write large objects and messages in the WAL, which take space. Only
  -- a superuser can revoke these rights.
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    FOR extra IN
      SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure) AS statement
      FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl
      WHERE p.pronamespace = 'pg_catalog'::regnamespace AND acl.grantee = 0 AND p.proname IN
        ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_import', 'lo_put', 'lowrite', 'pg_logical_emit_message')
    LOOP
      EXECUTE extra.statement;
    END LOOP;
  END IF;
  -- migrate sets deadlock_timeout, so it gives way to requests in a deadlock (src/db/migrate/migration-lock.ts).
  IF NOT has_parameter_privilege('oms_owner', 'deadlock_timeout', 'SET')
     AND (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
    GRANT SET ON PARAMETER deadlock_timeout TO oms_owner;
  END IF;
END $$;
