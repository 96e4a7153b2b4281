-- Returns the digest over the events of the transactions from from_xid up to, but not including, to_xid. It applies
-- sha256 in three steps: to the events of an order (number, hash), to the orders of about a minute (those whose ids
-- share the first 4 bytes), and to all of these digests. So it needs memory for the orders of a minute, not of a day.
-- from_at must not be later than any of these events. It saves reading the older part of the table.
CREATE OR REPLACE FUNCTION audit.events_digest(from_xid xid8, to_xid xid8, from_at timestamptz DEFAULT '-infinity')
RETURNS TABLE (events bigint, digest bytea) LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(b.events), 0)::bigint, sha256(coalesce(string_agg(b.digest, '' ORDER BY b.bucket), ''))
  FROM (
    SELECT o.bucket, sum(o.events) AS events,
      sha256(string_agg(uuid_send(o.order_id) || o.digest, '' ORDER BY o.order_id)) AS digest
    FROM (
      SELECT e.order_id, substring(uuid_send(e.order_id) FROM 1 FOR 4) AS bucket, count(*) AS events,
        sha256(string_agg(int4send(e.version) || e.hash, '' ORDER BY e.version)) AS digest
      FROM order_events AS e
      WHERE e.xact_id >= from_xid AND e.xact_id < to_xid AND e.at >= from_at
      GROUP BY e.order_id
    ) AS o
    GROUP BY o.bucket
  ) AS b
$$;

COMMENT ON FUNCTION audit.events_digest IS 'Number and digest of the events of a range of transactions.';
