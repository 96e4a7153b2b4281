-- Gives the database to the roles that own it, whoever has made it. Run by migrate when a superuser does it.
-- In schema public these are the objects of the first two migrations: from before there were roles. The
-- others are made by oms_owner, and what else is there is not ours.
DO $$
DECLARE
  object record;
BEGIN
  EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO oms_owner', current_database());
  EXECUTE format('GRANT CREATE ON DATABASE %I TO oms_queue', current_database());
  -- With the option, so that migrate can let oms_door create there for as long as it takes functions over.
  GRANT USAGE, CREATE ON SCHEMA public TO oms_owner WITH GRANT OPTION;
  -- A database from before Postgres 15 lets everybody create there, and so stand in for what we call.
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;

  FOR object IN
    SELECT format('SCHEMA %I', nspname) AS name,
      CASE nspname WHEN 'pgboss' THEN 'oms_queue' ELSE 'oms_owner' END AS owner
    FROM pg_namespace
    WHERE nspname IN ('pgboss', 'ops', 'audit')
      AND pg_get_userbyid(nspowner) NOT IN ('oms_owner', 'oms_queue', 'oms_worker')
    UNION ALL
    -- Indexes and the sequences of columns go with their table; partitions do not.
    SELECT format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
        c.oid::regclass),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_queue' ELSE 'oms_owner' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'S')
      AND (n.nspname = 'pgboss' OR n.nspname = 'public' AND c.relname IN (
        'users', 'refresh_tokens', 'orders', 'order_transitions', 'order_events', 'migrations',
        'migrations_id_seq', 'migration_checksums'
      ))
      AND pg_get_userbyid(c.relowner) NOT IN ('oms_owner', 'oms_queue', 'oms_worker')
      AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e')
          AND c.relkind = 'S'
      )
    UNION ALL
    SELECT format('ROUTINE %s', p.oid::regprocedure),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_queue' ELSE 'oms_owner' END
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE pg_get_userbyid(p.proowner) NOT IN ('oms_owner', 'oms_queue', 'oms_worker')
      AND (n.nspname = 'pgboss' OR n.nspname = 'public' AND p.proname IN (
        'orders_guard_status', 'order_actor', 'orders_record_placement', 'orders_record_change',
        'order_events_refuse_change'
      ))
    UNION ALL
    SELECT format('TYPE %s', t.oid::regtype),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_queue' ELSE 'oms_owner' END
    FROM pg_type AS t
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype = 'e' AND (n.nspname = 'pgboss' OR n.nspname = 'public' AND t.typname = 'order_status')
      AND pg_get_userbyid(t.typowner) NOT IN ('oms_owner', 'oms_queue', 'oms_worker')
  LOOP
    EXECUTE format('ALTER %s OWNER TO %I', object.name, object.owner);
  END LOOP;
END $$;
