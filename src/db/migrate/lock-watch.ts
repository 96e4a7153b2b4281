import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';

const LOOK_EVERY_MS = 150;
const CONNECT_TIMEOUT_MS = 5000;

/**
 * A lock that migrate waits for, and readable descriptions of the sessions that hold it. Each has the beginning of the
 * session's query, without any password in it.
 */
export type Wait = { lock: string; holders: string[] };

/** Watches, over its own connection, which lock a session waits for and which sessions hold it. */
export type LockWatch = {
  /** Returns the last wait that was seen, once. */
  lastWait: () => Wait | undefined;
  stop: () => Promise<void>;
};

/** Starts to watch the session with this process id. A watch that cannot connect sees nothing. */
export async function watchLocks(databaseUrl: string, pid: number): Promise<LockWatch> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'oms-migrate-watch',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  const stopped = new AbortController();
  let seen: Wait | undefined;
  const watching = (async () => {
    await client.connect();
    await client.query('SET search_path = pg_catalog, pg_temp');
    while (!stopped.signal.aborted) {
      seen = (await waitOf(client, pid)) ?? seen;
      await setTimeout(LOOK_EVERY_MS, undefined, { signal: stopped.signal });
    }
  })().catch(() => undefined);
  return {
    lastWait: () => {
      const last = seen;
      seen = undefined;
      return last;
    },
    stop: async () => {
      stopped.abort();
      await watching;
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
