-- The actions of operators: who did what, when and why, newest first.   psql: SELECT * FROM ops.actions LIMIT 20;
CREATE OR REPLACE VIEW ops.actions AS
SELECT a.id, a.at, ops._printable(a.who) AS who, a.action, a.order_id, a.queue, a.worker_id, a.user_id,
  ops._printable(a.reason) AS reason, a.before, a.after
FROM public.operator_actions AS a
ORDER BY a.id DESC;

COMMENT ON VIEW ops.actions IS
  'operator_actions, newest first: each use of a function of this schema that changed something.';
