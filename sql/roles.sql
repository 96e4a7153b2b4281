-- The roles of the whole server. Every migrate runs this file as the user of DATABASE_URL. If that user has no right to
-- create roles, a user who has it must run this file once. Existing roles keep their attributes and memberships.
-- Missing memberships are added. Settings that a role can change itself, and that this file does not make, are removed.
--
-- Owners. Services and people do not log in as these:
--   oms_owner     owns our tables and views; migrate works as this role
--   oms_queue     owns the queue (schema pgboss); migrate works as this role there
--   oms_placer    owns place_orders and place_order, and has the rights that placing needs
--   oms_accounts  owns the functions that read password hashes and refresh tokens, and has the rights that they need
--   oms_door      owns all other SECURITY DEFINER functions but prepare_queue_stats, and has the rights that they need
-- Services:
--   oms_api       calls the doors of the API, and reads orders
--   oms_worker    processes the jobs of the queue, and calls the doors of the worker
-- People:
--   oms_dba_read  reads the views of schema ops, and calls ops.explain_job
--   oms_dba       reads these views, and calls the functions of operators: each leaves a row in ops.actions
--   oms_auditor   reads schema audit and the tables that it checks
--
-- sql/grants.sql lists the rights of each role in a database. To change a setting for all sessions of a database, use
-- ALTER DATABASE. This file lets no role log in. For a person:
--   CREATE ROLE ada LOGIN PASSWORD '…' IN ROLE oms_dba;
-- A login does not inherit settings, so for a person who only reads, IN ROLE oms_dba_read, also:
--   ALTER ROLE ada SET default_transaction_read_only = on;
--   ALTER ROLE ada SET statement_timeout = '30s';
-- For a service:
--   ALTER ROLE oms_api LOGIN PASSWORD '…';
DO $$
DECLARE
  roles   CONSTANT text[] := ARRAY[
    'oms_owner', 'oms_queue', 'oms_placer', 'oms_accounts', 'oms_door', 'oms_api', 'oms_worker', 'oms_dba_read',
    'oms_dba', 'oms_auditor'
  ];
  -- migrate works as oms_owner, and as such also as the other owners. No service role is a member of any role, and no
  -- owner is a member of a service role. ops.cleanup_blockers needs pg_read_all_stats.
  members CONSTANT text[] := ARRAY[
    ['oms_queue', 'oms_owner'],
    ['oms_placer', 'oms_owner'],
    ['oms_accounts', 'oms_owner'],
    ['oms_door', 'oms_owner'],
    ['oms_dba_read', 'oms_dba'],
    ['pg_read_all_stats', 'oms_dba_read']
  ];
  wanted  text;
  member  text[];
  found   record;
  removed text[] := '{}';
BEGIN
  FOREACH wanted IN ARRAY roles LOOP
    IF to_regrole(wanted) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another migrate, of another database of this server, has just created it
      END;
    END IF;
  END LOOP;

  FOREACH member SLICE 1 IN ARRAY members LOOP
    IF NOT pg_has_role(member[2], member[1], 'MEMBER') THEN
      EXECUTE format('GRANT %I TO %I', member[1], member[2]);
    END IF;
  END LOOP;

  -- Any login may change most settings of its own role (ALTER ROLE). Settings that a thief made would stay after
  -- a change of the password, so they are removed. Settings that only a superuser can make stay.
  FOR found IN
    SELECT r.rolname, d.datname, split_part(c.setting, '=', 1) AS name
    FROM pg_db_role_setting AS s
    JOIN pg_roles AS r ON r.oid = s.setrole AND r.rolname = ANY (roles)
    LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    CROSS JOIN unnest(s.setconfig) AS c(setting)
    WHERE (s.setdatabase = 0 OR d.datname = current_database())
      AND NOT (r.rolname IN ('oms_dba_read', 'oms_auditor')
        AND split_part(c.setting, '=', 1) IN ('default_transaction_read_only', 'statement_timeout'))
      AND EXISTS (
        SELECT FROM pg_settings AS p
        WHERE p.name = split_part(c.setting, '=', 1) AND p.context IN ('user', 'backend')
      )
    ORDER BY 1, 2, 3
  LOOP
    BEGIN
      EXECUTE format('ALTER ROLE %I %s RESET %I', found.rolname, 'IN DATABASE ' || quote_ident(found.datname),
        found.name);
      removed := removed || format('%s of %s', found.name, found.rolname);
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING 'role % has the setting %, which only a superuser can remove: ALTER ROLE % % RESET %',
        found.rolname, found.name, found.rolname, coalesce('IN DATABASE ' || quote_ident(found.datname), ''),
        found.name;
    END;
  END LOOP;
  IF removed <> '{}' THEN
    RAISE WARNING 'settings of roles were removed: %', array_to_string(removed, ', ');
  END IF;

  -- These settings apply only to sessions that log in as the role itself, not as a member of it.
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_dba_read'::regrole) THEN
    ALTER ROLE oms_dba_read SET default_transaction_read_only = on;
    ALTER ROLE oms_dba_read SET statement_timeout = '30s';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_auditor'::regrole) THEN
    ALTER ROLE oms_auditor SET default_transaction_read_only = on;
    ALTER ROLE oms_auditor SET statement_timeout = '10min';
  END IF;

  -- Warn about attributes and memberships that give a role more rights than sql/grants.sql lists. They stay, because
  -- they can be intended.
  FOR found IN
    SELECT rolname, array_to_string(ARRAY[
      CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
      CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
      CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], ', ') AS attributes
    FROM pg_roles
    WHERE rolname = ANY (roles) AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
    ORDER BY 1
  LOOP
    RAISE WARNING 'role % is %, which no role of the service needs', found.rolname, found.attributes;
  END LOOP;
  FOR found IN
    SELECT DISTINCT m.member::regrole AS member, m.roleid::regrole AS granted
    FROM pg_auth_members AS m
    WHERE pg_get_userbyid(m.member) = ANY (roles) AND NOT EXISTS (
      SELECT FROM generate_subscripts(members, 1) AS i
      WHERE members[i][1] = pg_get_userbyid(m.roleid) AND members[i][2] = pg_get_userbyid(m.member)
    )
    ORDER BY 1, 2
  LOOP
    RAISE WARNING 'role % is a member of %, which sql/roles.sql does not list', found.member, found.granted;
  END LOOP;
END $$;
