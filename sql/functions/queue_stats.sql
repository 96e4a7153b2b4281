-- pg-boss keeps its statistics in a table with a partition per day, and expects workers to create and drop partitions.
-- For that, a worker would have to own the table. No worker may create or own a table: its owner could add a row
-- policy, which would run with the rights of the role that reads the views of schema ops. So this function creates and
-- drops the partitions, and pg-boss finds those that it needs.
CREATE OR REPLACE FUNCTION prepare_queue_stats() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  today     date := (now() AT TIME ZONE 'UTC')::date;
  partition text;
BEGIN
  FOR day IN 0..30 LOOP
    partition := 'queue_stats_' || to_char(today + day, 'YYYYMMDD');
    IF to_regclass('pgboss.' || partition) IS NULL THEN
      EXECUTE format('CREATE TABLE pgboss.%I PARTITION OF pgboss.queue_stats FOR VALUES FROM (%L) TO (%L)', partition,
        to_char(today + day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(today + day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
    END IF;
  END LOOP;

  FOR partition IN
    SELECT c.relname
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'pgboss.queue_stats'::regclass AND c.relname ~ '^queue_stats_[0-9]{8}$'
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - 7
  LOOP
    EXECUTE format('DROP TABLE pgboss.%I', partition);
  END LOOP;
END $$;

COMMENT ON FUNCTION prepare_queue_stats IS
  'Makes the partitions of pgboss.queue_stats up to 30 days ahead, drops those older than 7 days. For the worker.';

ALTER FUNCTION prepare_queue_stats OWNER TO oms_queue;

SELECT prepare_queue_stats();
