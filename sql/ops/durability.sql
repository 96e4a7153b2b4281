-- The settings of this server that decide whether an accepted order can be lost.
--   psql: TABLE ops.durability;
-- `safe` is false when the value can lose acknowledged orders in the event that `event` names. The last row is about a
-- failover to another server: with asynchronous replication, that server may lack the newest orders. Without a standby
-- there is no failover: then `safe` is false, and `meaning` says that only a backup is left.
CREATE OR REPLACE VIEW ops.durability AS
SELECT d.setting, d.value, d.safe, d.event, d.meaning
FROM (
  SELECT
    max(s.reset_val) FILTER (WHERE s.name = 'synchronous_commit')        AS synchronous_commit,
    max(s.reset_val) FILTER (WHERE s.name = 'synchronous_standby_names') AS standby_names,
    max(s.setting)   FILTER (WHERE s.name = 'fsync')                     AS fsync,
    max(s.setting)   FILTER (WHERE s.name = 'full_page_writes')          AS full_page_writes,
    (SELECT count(*) FROM pg_stat_replication) AS standbys
  FROM pg_settings AS s
) AS server
CROSS JOIN LATERAL (VALUES
  (1, 'fsync', server.fsync, server.fsync = 'on', 'power cut',
    'off: after a crash of the machine the database may be damaged, and must be restored from a backup'),
  (2, 'full_page_writes', server.full_page_writes, server.full_page_writes = 'on', 'power cut',
    'off: safe only on storage that never writes half a page'),
  (3, 'synchronous_commit', server.synchronous_commit, true, 'crash',
    'transactions that write orders, accounts, sessions or actions raise it to on, if it is lower'),
  (4, 'synchronous_standby_names', server.standby_names, server.standby_names <> '', 'failover',
    CASE
      WHEN server.standby_names <> '' THEN 'a commit waits for these standbys; fail over only to one of them'
      WHEN server.standbys > 0
        THEN format('replication to %s standby(s) is asynchronous: a failover loses what they have not received',
          server.standbys)
      ELSE 'no standby is connected: when this server is lost for good, its last backup is all that is left'
    END)
) AS d (number, setting, value, safe, event, meaning)
ORDER BY d.number;

COMMENT ON VIEW ops.durability IS
  'Settings of the server that decide whether a power cut, a crash or a failover can lose acknowledged orders.';
