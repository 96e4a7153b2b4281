/* The orders, events and audit violations that the database has at the end of a run. */
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { sql, type DatabasePool } from 'slonik';
import { z } from 'zod';
import { openPool } from '../src/db/pool.ts';
import { ReadableError } from '../src/process.ts';
import type { Stored, ViolationRow } from './verdict.ts';

const POLL_MS = 200;
const VIOLATIONS_MAX = 20;

const StoredOrder = z.object({
  marker: z.string(),
  id: z.string(),
  status: z.string(),
  completions: z.number(),
  cancellations: z.number(),
  ended_by: z.string(),
  changed_at: z.number(),
});

const AuditViolation = z.object({
  invariant: z.string(),
  order_id: z.string().nullable(),
  evidence: z.unknown(),
});

/** Opens the database as its superuser, who may read everything. */
export function openAsSuperuser(url: string): Promise<DatabasePool> {
  return openPool({ DATABASE_URL: url, POOL_SIZE_MAX: 2 }, pino({ level: 'silent' }));
}

/** Waits until no order is open, up to a limit. Orders that are still open after the limit are stranded. */
export async function untilAllEnded(pool: DatabasePool, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  const isOneOpen = () =>
    pool.exists(sql.unsafe`SELECT FROM orders WHERE status IN ('PENDING', 'PROCESSING')`);
  while ((await isOneOpen()) && Date.now() < deadline) await setTimeout(POLL_MS);
}

/** All orders, each with the number of its COMPLETED and CANCELLED events. */
export async function readOrders(pool: DatabasePool): Promise<readonly Stored[]> {
  return pool.any(sql.type(StoredOrder)`
    SELECT
      coalesce(o.metadata ->> 'chaos', 'none') AS marker, o.id, o.status,
      count(*) FILTER (WHERE e.to_status = 'COMPLETED') AS completions,
      count(*) FILTER (WHERE e.to_status = 'CANCELLED') AS cancellations,
      coalesce((array_agg(e.actor ORDER BY e.version DESC))[1], '') AS ended_by,
      coalesce(floor(extract(epoch FROM max(e.at)) * 1000), 0)::bigint AS changed_at
    FROM orders AS o
    LEFT JOIN order_events AS e ON e.order_id = o.id
    GROUP BY o.id
    ORDER BY o.id
  `);
}

/** The trail of an order in one line: each step, the time since the order was placed, the actor and the attempt. */
export async function readTrail(url: string, orderId: string | null): Promise<string> {
  if (orderId === null) return 'no order';
  const pool = await openAsSuperuser(url);
  try {
    return (
      (await pool.oneFirst(sql.type(z.object({ trail: z.string().nullable() }))`
      SELECT string_agg(
        concat_ws(' ', e.to_status, '+' || round(extract(epoch FROM e.at - o.created_at), 1) || ' s',
          e.actor, e.attempt),
        ', ' ORDER BY e.version) AS trail
      FROM order_events AS e JOIN orders AS o ON o.id = e.order_id
      WHERE e.order_id = ${orderId}
    `)) ?? ''
    );
  } finally {
    await pool.end();
  }
}

/** How many orders shared a transaction: mean and maximum. */
export async function readBatches(pool: DatabasePool): Promise<string> {
  const Batches = z.object({ mean: z.number(), most: z.number() });
  const { mean, most } = await pool.one(sql.type(Batches)`
    SELECT coalesce(round(avg(orders), 1), 0)::float8 AS mean, coalesce(max(orders), 0) AS most
    FROM (SELECT count(*) AS orders FROM orders GROUP BY xact_id) AS batches
  `);
  return `${mean} on average, ${most} at most`;
}

/** The first violations that the audit finds, at most VIOLATIONS_MAX. Throws when the database has no audit. */
export async function readViolations(pool: DatabasePool): Promise<readonly ViolationRow[]> {
  const exists = await pool.oneFirst(sql.type(z.object({ exists: z.boolean() }))`
    SELECT to_regclass('audit.violations') IS NOT NULL AS exists
  `);
  if (!exists) {
    throw new ReadableError(
      'The view audit.violations does not exist, so nothing was audited (--without-audit skips the audit)',
    );
  }
  return pool.any(sql.type(AuditViolation)`
    SELECT invariant, order_id, evidence FROM audit.violations ORDER BY invariant, order_id LIMIT ${VIOLATIONS_MAX}
  `);
}
