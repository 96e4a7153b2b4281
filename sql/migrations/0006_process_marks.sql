-- The newest mark of each process. A process writes a mark every few seconds, and reads the mark before. When a mark is
-- gone although its COMMIT succeeded, the database has lost acknowledged transactions, for example in a failover to a
-- standby that lagged behind. src/health/marks.ts writes the marks.
--
-- Rows are rewritten all the time. Free space on each page keeps the updates heap-only, and vacuum starts early.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

CREATE TABLE process_marks (
  process_id uuid        NOT NULL,
  mark       bigint      NOT NULL,
  xact_id    xid8        NOT NULL DEFAULT pg_current_xact_id(),
  marked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),

  CONSTRAINT process_marks_pk      PRIMARY KEY (process_id),
  CONSTRAINT process_marks_mark_ck CHECK (mark > 0)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

COMMENT ON TABLE  process_marks            IS
  'The newest mark of each process. A mark that is gone shows that the database has lost acknowledged transactions.';
COMMENT ON COLUMN process_marks.process_id IS 'A random id that the process has made for itself.';
COMMENT ON COLUMN process_marks.mark       IS 'Counted from 1 by the process.';
