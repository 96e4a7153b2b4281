-- Every breach of every invariant; docs/audit.md explains the invariants.   psql: TABLE audit.violations;
--
-- With many orders, use a condition on order_id: each view then scans indexes.
--   psql: SELECT invariant, order_id, evidence FROM audit.violations WHERE order_id = '…';
CREATE OR REPLACE VIEW audit.violations AS
SELECT invariant, severity, order_id, evidence FROM audit.i1_open_order_has_one_job
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i2_job_and_order_are_one_transaction
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i3_completed_once
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i4_completed_job_has_effect
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i5_events_tell_the_status
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i6_nothing_after_cancellation
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i7_hash_chain_recomputes
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i8_open_order_makes_progress
UNION ALL
SELECT invariant, severity, order_id, evidence FROM audit.i9_one_order_per_idempotency_key;

COMMENT ON VIEW audit.violations IS 'Every breach of every invariant. Empty is healthy.';
