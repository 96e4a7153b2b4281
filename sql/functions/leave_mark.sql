-- Writes the next mark of a process. Returns the mark before it (NULL when there is none), and the id of this
-- transaction. `process_id`: a random id that the process has made for itself. Each mark replaces the one before. A
-- process counts up its marks, so it gets back the mark that it wrote last, unless the database has lost that one.
--
-- When a process has no mark yet, the call also deletes the rows of processes that have written none for a day.
CREATE OR REPLACE FUNCTION leave_mark(process_id uuid, mark bigint, OUT last_mark bigint, OUT xact_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF num_nulls(leave_mark.process_id, leave_mark.mark) > 0 THEN
    RAISE EXCEPTION 'a mark needs a process and a number' USING ERRCODE = 'OM008';
  END IF;
  SELECT m.mark INTO last_mark FROM public.process_marks AS m WHERE m.process_id = leave_mark.process_id FOR UPDATE;
  INSERT INTO public.process_marks AS m (process_id, mark)
  VALUES (leave_mark.process_id, leave_mark.mark)
  ON CONFLICT ON CONSTRAINT process_marks_pk DO UPDATE
  SET mark = EXCLUDED.mark, xact_id = EXCLUDED.xact_id, marked_at = EXCLUDED.marked_at;
  IF last_mark IS NULL THEN
    DELETE FROM public.process_marks AS m WHERE m.marked_at < now() - interval '1 day';
  END IF;
  xact_id := pg_current_xact_id()::text;
END $$;

COMMENT ON FUNCTION leave_mark IS
  'Writes the next mark of a process and returns the one before, for API and workers. Refuses: OM008.';

ALTER FUNCTION leave_mark OWNER TO oms_door;
