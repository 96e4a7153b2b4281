-- The daily heads over the trail of all orders.   psql: TABLE audit.heads;
CREATE OR REPLACE VIEW audit.heads AS
SELECT number, from_xid, to_xid, events, encode(digest, 'hex') AS digest, key_id, signature, created_at
FROM audit_heads
ORDER BY number;

COMMENT ON VIEW audit.heads IS
  'Daily heads: digests of the trail. npm run audit recomputes them and checks their signatures.';
