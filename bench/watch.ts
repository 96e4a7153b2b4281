import { Client } from 'pg';
import { costOf } from './cost.ts';

// The plan is always one lookup by primary key for each id, even if the table was small when it was planned.
const SETTINGS = 'SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan';

const COMPLETED = {
  name: 'completed',
  text: `SELECT id::text FROM orders WHERE id = ANY ($1::uuid[]) AND status = 'COMPLETED'`,
};

/** Watches when orders become COMPLETED. */
export type Watch = {
  /** Watches one more order. */
  add(id: string): void;
  /** The time at which an order was seen as COMPLETED, by performance.now(). Undefined before. */
  seenAt(id: string): number | undefined;
  /** Resolves when all added orders are COMPLETED, or after the timeout. */
  untilAllSeen(timeoutMs: number): Promise<void>;
  /** CPU time so far of the Postgres process that serves this connection. */
  serverCpuSeconds(): number;
  close(): Promise<void>;
};

/**
 * Opens a connection that reads the open orders by primary key, again and again, with a pause in between. It reads
 * nothing while no order is open. It sees an order up to one pause and one round trip after its commit.
 */
export async function openWatch(databaseUrl: string, pauseMs: number): Promise<Watch> {
  const db = new Client(databaseUrl);
  await db.connect();
  await db.query(SETTINGS);
  const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? 0;
  const open = new Set<string>();
  const seen = new Map<string, number>();
  let reading: Promise<void> | undefined;
  let failure: unknown;

  async function readUntilNoneOpen(): Promise<void> {
    while (open.size > 0) {
      const found = await db.query<{ id: string }>({ ...COMPLETED, values: [[...open]] });
      const now = performance.now();
      for (const { id } of found.rows) {
        seen.set(id, now);
        open.delete(id);
      }
      if (open.size > 0) await pause(pauseMs);
    }
    reading = undefined;
  }

  return {
    add(id) {
      open.add(id);
      reading ??= readUntilNoneOpen().catch((error: unknown) => {
        failure ??= error;
        open.clear();
      });
    },
    seenAt: (id) => seen.get(id),
    async untilAllSeen(timeoutMs) {
      const timer = setTimeout(() => open.clear(), timeoutMs);
      await reading;
      clearTimeout(timer);
      if (failure) throw failure;
    },
    serverCpuSeconds: () => costOf(pid).cpuSeconds,
    close: () => db.end(),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
