-- The roles, for the whole server. Run by every migrate as whoever DATABASE_URL names; changes nothing
-- that is there already. Without the right to create roles, have somebody run this file who has it.
--
--   oms_owner     owns our schemas; migrate works as this role
--   oms_queue     owns the queue (schema pgboss); migrate works as this role there, and nobody else
--   oms_door      owns the functions that are the only way to a table; never logs in, and nobody works as it
--   oms_worker    works the queue off, keeps its statistics, and moves orders along
--   oms_api       places orders and reads them; no UPDATE on jobs
--   oms_dba_read  the views of schema ops, and nothing else; read-only
--   oms_dba       those, and the functions that act: each leaves a row in ops.actions
--   oms_auditor   schema audit, and the evidence it is made from; read-only
--
-- None can log in yet. For a person:    CREATE ROLE ada LOGIN PASSWORD '…' IN ROLE oms_dba;
--   and, as settings are not inherited, for one who only reads:
--                                       ALTER ROLE ada SET default_transaction_read_only = on;
--                                       ALTER ROLE ada SET statement_timeout = '30s';
-- For a service:                        ALTER ROLE oms_api LOGIN PASSWORD '…';
DO $$
DECLARE
  wanted  text;
  granted text;
BEGIN
  FOREACH wanted IN ARRAY
    ARRAY['oms_owner', 'oms_queue', 'oms_door', 'oms_worker', 'oms_api', 'oms_dba_read', 'oms_dba', 'oms_auditor']
  LOOP
    IF to_regrole(wanted) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this server is being migrated at the same moment
      END;
    END IF;
  END LOOP;

  -- oms_owner reads jobs in its views and functions, and gives rights on what oms_queue owns. A worker
  -- must not own what they touch: a trigger or a function of its own would run with their rights.
  -- pg_read_all_stats shows whose transaction keeps vacuum from its work: ops.cleanup_blockers.
  FOR granted, wanted IN
    VALUES ('oms_worker', 'oms_queue'), ('oms_queue', 'oms_owner'), ('oms_door', 'oms_owner'),
      ('oms_api', 'oms_owner'), ('oms_dba_read', 'oms_dba'), ('pg_read_all_stats', 'oms_dba_read')
  LOOP
    IF NOT pg_has_role(wanted, granted, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO %I', granted, wanted);
    END IF;
  END LOOP;

  -- These hold for whoever logs in as the role itself.
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_dba_read'::regrole) THEN
    ALTER ROLE oms_dba_read SET default_transaction_read_only = on;
    ALTER ROLE oms_dba_read SET statement_timeout = '30s';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = 'oms_auditor'::regrole) THEN
    ALTER ROLE oms_auditor SET default_transaction_read_only = on;
    ALTER ROLE oms_auditor SET statement_timeout = '10min';
  END IF;
END $$;
