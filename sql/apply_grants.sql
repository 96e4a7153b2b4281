-- Applies the list in grants.sql: grants the listed rights, and revokes all other rights of these roles and of PUBLIC
-- on our objects. Rights that you granted to your own roles stay. Every migrate runs both files last, as oms_owner.

-- The wanted rights: one row per privilege, object and column.
CREATE TEMPORARY VIEW wanted_rights AS
SELECT DISTINCT w.grantee, p.privilege, o.kind, o.name, c.column_name
FROM wanted AS w
CROSS JOIN LATERAL regexp_match(w.objects, '^(SCHEMA|TABLE|FUNCTION) ([^()]*[^() ])(?: \(([^()]*)\))?$') AS m
CROSS JOIN LATERAL regexp_split_to_table(m[2], ', ') AS listed(name)
CROSS JOIN LATERAL (SELECT m[1] AS kind, CASE m[1]
  WHEN 'TABLE' THEN listed.name::regclass::text
  WHEN 'FUNCTION' THEN listed.name::regproc::regprocedure::text
  ELSE listed.name END AS name) AS o
CROSS JOIN LATERAL regexp_split_to_table(w.privileges, ', ') AS p(privilege)
CROSS JOIN LATERAL regexp_split_to_table(coalesce(m[3], ''), ', ') AS c(column_name);

-- The actual rights, in the same form. A GRANT OPTION counts as a right of its own. It is never listed, so it is always
-- revoked.
CREATE TEMPORARY VIEW actual_rights AS
SELECT coalesce(r.rolname, 'PUBLIC') AS grantee, p.privilege, a.kind, a.name, a.column_name
FROM (
  SELECT 'SCHEMA' AS kind, n.nspname::text AS name, '' AS column_name, x.grantee, x.privilege_type, x.is_grantable,
    n.nspowner AS owner
  FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
  WHERE n.nspname IN ('pgboss', 'ops', 'audit')
    OR n.nspname = 'public' AND x.privilege_type = 'USAGE' AND x.grantee <> 0
  UNION ALL
  SELECT 'TABLE', c.oid::regclass::text, '', x.grantee, x.privilege_type, x.is_grantable, c.relowner
  FROM pg_class AS c, aclexplode(c.relacl) AS x
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
  UNION ALL
  SELECT 'TABLE', c.oid::regclass::text, t.attname, x.grantee, x.privilege_type, x.is_grantable, c.relowner
  FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid AND NOT t.attisdropped, aclexplode(t.attacl) AS x
  WHERE c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
  UNION ALL
  SELECT 'FUNCTION', p.oid::regprocedure::text, '', x.grantee, x.privilege_type, x.is_grantable, p.proowner
  FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
  WHERE p.pronamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
) AS a
CROSS JOIN LATERAL (
  VALUES (a.privilege_type), (CASE WHEN a.is_grantable THEN 'GRANT OPTION FOR ' || a.privilege_type END)
) AS p(privilege)
LEFT JOIN pg_roles AS r ON r.oid = a.grantee
WHERE p.privilege IS NOT NULL
  AND (pg_get_userbyid(a.owner) IN ('oms_owner', 'oms_queue', 'oms_placer', 'oms_accounts', 'oms_door')
    OR a.kind = 'SCHEMA' AND a.name = 'public')
  AND a.grantee <> a.owner
  AND (a.grantee = 0 OR r.rolname IN
    ('oms_placer', 'oms_accounts', 'oms_door', 'oms_api', 'oms_worker', 'oms_dba_read', 'oms_dba', 'oms_auditor'));

DO $$
DECLARE
  change record;
BEGIN
  FOR change IN SELECT * FROM actual_rights EXCEPT SELECT * FROM wanted_rights ORDER BY name, grantee LOOP
    EXECUTE format('REVOKE %s%s ON %s %s FROM %s CASCADE', change.privilege,
      CASE WHEN change.column_name <> '' THEN format(' (%I)', change.column_name) END, change.kind, change.name,
      CASE change.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(change.grantee) END);
  END LOOP;
  -- GRANT after REVOKE: revoking a right on a table also revokes it on the table's columns.
  FOR change IN SELECT * FROM wanted_rights EXCEPT SELECT * FROM actual_rights ORDER BY name, grantee LOOP
    EXECUTE format('GRANT %s%s ON %s %s TO %I', change.privilege,
      CASE WHEN change.column_name <> '' THEN format(' (%I)', change.column_name) END, change.kind, change.name,
      change.grantee);
  END LOOP;

  -- Row policies can hide rows from the functions and the audit.
  FOR change IN
    SELECT c.oid::regclass AS name FROM pg_class AS c
    WHERE c.relrowsecurity AND c.relnamespace::regnamespace::text IN ('public', 'pgboss', 'ops', 'audit')
      AND pg_get_userbyid(c.relowner) IN ('oms_owner', 'oms_queue')
    ORDER BY 1
  LOOP
    RAISE WARNING 'row security is enabled on %, which no table of the service needs', change.name;
  END LOOP;
END $$;

DROP VIEW wanted_rights, actual_rights;
