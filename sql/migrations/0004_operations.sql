-- The actions of operators on queues and orders, the queues that are paused, and the batches that workers are running.
--
-- The functions and views that use these tables are in sql/ops.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

CREATE TABLE operator_actions (
  id        bigint       GENERATED ALWAYS AS IDENTITY,
  at        timestamptz  NOT NULL DEFAULT clock_timestamp(),
  who       text         NOT NULL DEFAULT session_user,
  action    text         NOT NULL,
  order_id  uuid,                     -- order_id to user_id: NULL unless the action was about one
  queue     text,
  worker_id uuid,
  user_id   uuid,
  reason    trail_reason NOT NULL,
  before    jsonb        NOT NULL,
  after     jsonb        NOT NULL,

  CONSTRAINT operator_actions_pk         PRIMARY KEY (id),
  CONSTRAINT operator_actions_action_ck  CHECK (action IN
    ('retry_order', 'cancel_order', 'redrive', 'pause_queue', 'resume_queue', 'release_worker', 'reset_password')),
  CONSTRAINT operator_actions_subject_ck CHECK (num_nonnulls(order_id, queue, worker_id, user_id) >= 1),
  CONSTRAINT operator_actions_reason_ck  CHECK (btrim(reason, E' \t\n\v\f\r') <> '')
);

-- Serves ops.actions with a condition on order_id.
CREATE INDEX operator_actions_order_ix ON operator_actions (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE paused_queues (
  queue     text         NOT NULL,
  paused_by text         NOT NULL DEFAULT session_user,
  reason    trail_reason NOT NULL,
  paused_at timestamptz  NOT NULL DEFAULT clock_timestamp(),

  CONSTRAINT paused_queues_pk        PRIMARY KEY (queue),
  CONSTRAINT paused_queues_reason_ck CHECK (btrim(reason, E' \t\n\v\f\r') <> '')
);

-- Unlogged, so writes need no WAL and no wait for the disk. After a crash of the server the table is empty, and that is
-- correct: no worker has kept its connection. Rows are rewritten for every batch. Therefore each page has free space,
-- which keeps updates heap-only, and vacuum starts early.
CREATE UNLOGGED TABLE running_batches (
  worker_id uuid        NOT NULL,
  poller    text        NOT NULL,
  queue     text        NOT NULL,
  job_ids   uuid[]      NOT NULL,
  attempts  integer[]   NOT NULL,
  since     timestamptz NOT NULL DEFAULT clock_timestamp(),

  CONSTRAINT running_batches_pk          PRIMARY KEY (worker_id, poller),
  CONSTRAINT running_batches_attempts_ck CHECK (cardinality(job_ids) = cardinality(attempts))
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

COMMENT ON TABLE  operator_actions         IS
  'The actions of operators, through the functions of schema ops. Append-only; shown as ops.actions.';
COMMENT ON COLUMN operator_actions.who     IS 'The database role that was logged in (session_user).';
COMMENT ON COLUMN operator_actions.before  IS 'The order, queue, worker or account before the action.';
COMMENT ON COLUMN operator_actions.after   IS 'The order, queue, worker or account after the action.';
COMMENT ON TABLE  paused_queues            IS
  'Queues that no worker takes jobs from: ops.pause_queue, ops.resume_queue.';
COMMENT ON TABLE  running_batches          IS
  'The batch that each poller of each worker process is running. Reported by the worker; not a claim.';
COMMENT ON COLUMN running_batches.worker_id IS 'pgboss.instance.id of the process.';
COMMENT ON COLUMN running_batches.poller   IS
  'The poller of the process: queue and number. A poller runs one batch at a time.';
COMMENT ON COLUMN running_batches.attempts IS 'The attempt (from 1) of each job in job_ids, in the same order.';
