import { sql, type DatabaseTransactionConnection } from 'slonik';

/** Whether a session waits for a lock that this transaction holds. */
export function isAwaited(tx: DatabaseTransactionConnection): Promise<boolean> {
  return tx.exists(sql.unsafe`
    SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
  `);
}
