-- The roles of the whole server. Every migrate runs this file as the user of DATABASE_URL. Existing roles are not
-- changed. If that user has no right to create roles, a user who has it must run this file once.
--
-- Owners. Services and people do not log in as these:
--   oms_owner     owns our tables and views; migrate works as this role
--   oms_queue     owns the queue (schema pgboss); migrate works as this role there
--   oms_placer    owns place_orders, and has the rights that placing needs
--   oms_accounts  owns the functions that see password hashes and refresh tokens, and has the rights that they need
--   oms_door      owns all other SECURITY DEFINER functions but prepare_queue_stats, and has the rights that they need
-- Services:
--   oms_api       calls the doors of the API, and reads orders
--   oms_worker    works the queue off, and calls the doors of the worker
-- People:
--   oms_dba_read  the views of schema ops, and nothing else; read-only
--   oms_dba       those, and the functions that act: each leaves a row in ops.actions
--   oms_auditor   schema audit, and the evidence it is made from; read-only
--
-- What each may do in a database is in sql/grants.sql. None can log in yet. For a person:
--   CREATE ROLE ada LOGIN PASSWORD '…' IN ROLE oms_dba;
-- and, as settings are not inherited, for one who only reads:
--   ALTER ROLE ada SET default_transaction_read_only = on;
--   ALTER ROLE ada SET statement_timeout = '30s';
-- For a service:
--   ALTER ROLE oms_api LOGIN PASSWORD '…';
DO $$
DECLARE
  wanted  text;
  granted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY[
    'oms_owner', 'oms_queue', 'oms_placer', 'oms_accounts', 'oms_door', 'oms_api', 'oms_worker', 'oms_dba_read',
    'oms_dba', 'oms_auditor'
  ] LOOP
    IF to_regrole(wanted) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this server is being migrated at the same moment
      END;
    END IF;
  END LOOP;

  -- migrate, as oms_owner, works as the other owners too. No service role is a member of any role, and no owner
  -- is a member of a service role.
  -- pg_read_all_stats shows whose transaction keeps vacuum from its work: ops.cleanup_blockers.
  FOR granted, wanted IN VALUES
    ('oms_queue', 'oms_owner'),
    ('oms_placer', 'oms_owner'),
    ('oms_accounts', 'oms_owner'),
    ('oms_door', 'oms_owner'),
    ('oms_dba_read', 'oms_dba'),
    ('pg_read_all_stats', 'oms_dba_read')
  LOOP
    IF NOT pg_has_role(wanted, granted, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO %I', granted, wanted);
    END IF;
  END LOOP;

  -- These settings apply only to sessions that log in as the role itself.
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_dba_read'::regrole) THEN
    ALTER ROLE oms_dba_read SET default_transaction_read_only = on;
    ALTER ROLE oms_dba_read SET statement_timeout = '30s';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_auditor'::regrole) THEN
    ALTER ROLE oms_auditor SET default_transaction_read_only = on;
    ALTER ROLE oms_auditor SET statement_timeout = '10min';
  END IF;
END $$;
