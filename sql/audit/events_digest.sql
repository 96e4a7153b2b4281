-- The digest over the events of the transactions from from_xid up to, but not including, to_xid. Three steps
-- of sha256: over an order's events (number, hash), over the orders of about a minute (those whose ids share
-- the first 4 bytes), over all of those. So it takes memory for a minute's orders, and not for a day's.
-- from_at only spares reading the older part of the table.
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
      WHERE coalesce(e.xact_id, '0') >= from_xid AND coalesce(e.xact_id, '0') < to_xid AND e.at >= from_at
      GROUP BY e.order_id
    ) AS o
    GROUP BY o.bucket
  ) AS b
$$;

COMMENT ON FUNCTION audit.events_digest IS 'Number and digest of the events of a range of transactions.';
