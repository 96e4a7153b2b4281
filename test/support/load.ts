/*
 * Places orders while a test breaks something, and counts afterwards which orders were completed once.
 */
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../../src/deps.ts';
import type { signUp } from './context.ts';
import { until } from './until.ts';

const PAUSE_MS = 5; // enough load to meet a fault; other tests still get the processors

type User = Awaited<ReturnType<typeof signUp>>;

/** The result of one request: its status, or 0 when the connection broke. */
type Outcome = { status: number; id: string | undefined; sentAt: number; tookMs: number };

/** Places orders until stopped. Each of the clients places one order after the other. */
export function placeSteadily(t: ExecutionContext, users: User[], clients = 8) {
  const outcomes: Outcome[] = [];
  const stopping = new AbortController();
  async function client(user: User) {
    while (!stopping.signal.aborted) {
      outcomes.push(await placeOne(user));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
  const running = Array.from({ length: clients }, (_, index) =>
    client(users[index % users.length] as User),
  );
  const stop = async () => {
    stopping.abort();
    await Promise.all(running);
  };
  t.teardown(stop);
  const more = async (count: number) => {
    const wanted = outcomes.length + count;
    await until(`${count} more replies`, () => outcomes.length >= wanted);
  };
  const acknowledged = () => outcomes.flatMap(({ id }) => id ?? []);
  const statuses = () => [...new Set(outcomes.map(({ status }) => status))].sort((a, b) => a - b);
  return { outcomes, more, stop, acknowledged, statuses };
}

async function placeOne(user: User): Promise<Outcome> {
  const sentAt = Date.now();
  const order = { product_name: 'Kettle', amount: '34.90' };
  const reply = await user.request('POST', '/orders', order).catch(() => null);
  const id = reply?.status === 201 ? (reply.body.id as string) : undefined;
  return { status: reply?.status ?? 0, id, sentAt, tookMs: Date.now() - sentAt };
}

export const COMPLETED_ONCE = 'PENDING → PROCESSING → COMPLETED';

/** Counts these orders by the sequence of their statuses. A lost order is in no count. */
export async function trailsOf(
  { pool }: Pick<Deps, 'pool'>,
  ids: string[],
): Promise<Record<string, number>> {
  const Row = z.object({ trail: z.string(), orders: z.number() });
  const rows = await pool.any(sql.type(Row)`
    SELECT trail, count(*) AS orders
    FROM (
      SELECT string_agg(to_status::text, ' → ' ORDER BY version) AS trail
      FROM order_events WHERE order_id = ANY(${sql.array(ids, 'uuid')})
      GROUP BY order_id
    ) AS trails
    GROUP BY trail
    ORDER BY trail
  `);
  return Object.fromEntries(rows.map(({ trail, orders }) => [trail, orders]));
}

/** Waits until no order in the database is open. */
export async function whenAllSettled({ pool }: Pick<Deps, 'pool'>): Promise<void> {
  const isOpen = () =>
    pool.exists(sql.unsafe`SELECT FROM orders WHERE status IN ('PENDING', 'PROCESSING')`);
  await until('the last order', async () => !(await isOpen()));
}
