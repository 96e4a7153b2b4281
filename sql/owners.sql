-- Gives the database to the roles that own it, whoever has made it. Run by migrate when a superuser does it.
DO $$
DECLARE
  object record;
BEGIN
  EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO oms_owner', current_database());
  EXECUTE format('GRANT CREATE ON DATABASE %I TO oms_worker', current_database());
  GRANT USAGE, CREATE ON SCHEMA public TO oms_owner;

  FOR object IN
    SELECT format('SCHEMA %I', nspname) AS name,
      CASE nspname WHEN 'pgboss' THEN 'oms_worker' ELSE 'oms_owner' END AS owner
    FROM pg_namespace
    WHERE nspname IN ('pgboss', 'ops', 'audit')
      AND pg_get_userbyid(nspowner) NOT IN ('oms_owner', 'oms_worker')
    UNION ALL
    -- Indexes and the sequences of columns go with their table; partitions do not.
    SELECT format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
        c.oid::regclass),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_worker' ELSE 'oms_owner' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'pgboss') AND c.relkind IN ('r', 'p', 'v', 'S')
      AND pg_get_userbyid(c.relowner) NOT IN ('oms_owner', 'oms_worker')
      AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e')
          AND c.relkind = 'S'
      )
    UNION ALL
    SELECT format('ROUTINE %s', p.oid::regprocedure),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_worker' ELSE 'oms_owner' END
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('public', 'pgboss') AND pg_get_userbyid(p.proowner) NOT IN ('oms_owner', 'oms_worker')
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('TYPE %s', t.oid::regtype),
      CASE n.nspname WHEN 'pgboss' THEN 'oms_worker' ELSE 'oms_owner' END
    FROM pg_type AS t
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname IN ('public', 'pgboss') AND t.typtype = 'e'
      AND pg_get_userbyid(t.typowner) NOT IN ('oms_owner', 'oms_worker')
  LOOP
    EXECUTE format('ALTER %s OWNER TO %I', object.name, object.owner);
  END LOOP;
END $$;
