import { Client } from 'pg';
import { costOf } from './cost.ts';

// The plan is the same for all tables: one lookup by primary key for each id, however small the table was first.
const SETTINGS = 'SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan';

const COMPLETED = {
  name: 'completed',
  text: `SELECT id::text FROM orders WHERE id = ANY ($1::uuid[]) AND status = 'COMPLETED'`,
};

/** Sees when orders become COMPLETED. */
export type Watch = {
  /** Watches one more order. */
  add(id: string): void;
  /** When an order was seen COMPLETED, by performance.now(); undefined while it was not. */
  seenAt(id: string): number | undefined;
  /** Resolves when all orders that were added are COMPLETED, or the patience is used up. */
  untilAllSeen(patienceMs: number): Promise<void>;
  /** CPU of its Postgres process so far. */
  serverCpuSeconds(): number;
  close(): Promise<void>;
};

/**
 * Opens a connection that reads the open orders by primary key, again and again, with a pause in between. While no
 * order is open it reads nothing. An order is seen up to one pause and one round trip after its commit.
 */
export async function openWatch(databaseUrl: string, pauseMs: number): Promise<Watch> {
  const db = new Client(databaseUrl);
  await db.connect();
  await db.query(SETTINGS);
  const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const pid = rows[0]?.pid ?? 0;
  const open = new Set<string>();
  const seen = new Map<string, number>();
  let looking: Promise<void> | undefined;
  let failure: unknown;

  async function look(): Promise<void> {
    while (open.size > 0) {
      const found = await db.query<{ id: string }>({ ...COMPLETED, values: [[...open]] });
      const now = performance.now();
      for (const { id } of found.rows) {
        seen.set(id, now);
        open.delete(id);
      }
      if (open.size > 0) await pause(pauseMs);
    }
    looking = undefined;
  }

  return {
    add(id) {
      open.add(id);
      looking ??= look().catch((error: unknown) => {
        failure ??= error;
        open.clear();
      });
    },
    seenAt: (id) => seen.get(id),
    async untilAllSeen(patienceMs) {
      const timer = setTimeout(() => open.clear(), patienceMs);
      await looking;
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
