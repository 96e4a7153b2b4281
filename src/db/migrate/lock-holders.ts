import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { createClient } from '../connection/client.ts';

const POLL_MS = 150;
const KIND = {
  name: 'oms-migrate-watch',
  direct: true,
  statementTimeoutMs: 5_000,
  idleInTransactionTimeoutMs: 5_000,
};

/**
 * A lock that migrate waits for, and descriptions of the sessions that hold it. A description contains the beginning of
 * the session's query, without passwords.
 */
export type Wait = { lock: string; holders: string[] };

/** Records the lock that a session waits for, and the sessions that hold it. */
type LockObserver = {
  /** Returns the last wait since the previous call. */
  lastWait: () => Wait | undefined;
  stop: () => Promise<void>;
};

/**
 * Observes the session with this process id, over another connection. When that connection fails, `lastWait` returns
 * undefined.
 */
export async function observeLocks(databaseUrl: string, pid: number): Promise<LockObserver> {
  const client = createClient(databaseUrl, KIND);
  const stopped = new AbortController();
  let latest: Wait | undefined;
  const observing = (async () => {
    await client.connect();
    await client.query('SET search_path = pg_catalog, pg_temp');
    while (!stopped.signal.aborted) {
      latest = (await waitOf(client, pid)) ?? latest;
      await setTimeout(POLL_MS, undefined, { signal: stopped.signal });
    }
  })().catch(() => undefined);
  return {
    lastWait: () => {
      const wait = latest;
      latest = undefined;
      return wait;
    },
    stop: async () => {
      stopped.abort();
      await observing;
      await client.end().catch(() => undefined);
    },
  };
}

type Row = { lock: string; holder: string };

async function waitOf(client: Client, pid: number): Promise<Wait | undefined> {
  const { rows } = await client.query<Row>(
    `SELECT
      CASE
        WHEN l.locktype = 'relation' THEN format('%s on %s', l.mode, l.relation::regclass)
        WHEN l.locktype = 'transactionid' THEN 'the end of another transaction'
        ELSE format('%s on a lock of type %s', l.mode, l.locktype)
      END AS lock,
      CASE WHEN a.pid IS NULL THEN 'a prepared transaction' ELSE
        format('pid %s (role %s, application %s, %s, transaction open for %s s): %s',
          a.pid, coalesce(a.usename, 'unknown'), coalesce(nullif(a.application_name, ''), 'unknown'),
          coalesce(a.state, 'state unknown'),
          coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start))::text, '?'),
          left(regexp_replace(regexp_replace(a.query, '(PASSWORD\\s+).*', '\\1...', 'i'), '\\s+', ' ', 'g'), 100))
      END AS holder
    FROM pg_locks AS l
    CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS b (pid)
    LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid
    WHERE l.pid = $1 AND NOT l.granted
    LIMIT 3`,
    [pid],
  );
  const [first] = rows;
  return first && { lock: first.lock, holders: rows.map(({ holder }) => holder) };
}
