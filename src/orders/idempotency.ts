/*
 * The database side of safe retries is in sql/functions: place_orders and cancel_order look up a request's key, do
 * their work, and store the reply, in one transaction. While a request with a key is in progress, its transaction
 * holds an advisory lock. No request waits for this lock, and a crash leaves nothing to clean up.
 */
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import type { Reply } from '../http/reply.ts';

const PRUNE_BATCH_SIZE = 10_000;

/** The result of a request with an Idempotency-Key: its reply, new or stored, or the reason why it has none. */
export const KeyedOutcome = z.object({
  id: z.string(),
  outcome: z.enum(['placed', 'replayed', 'reused', 'in-use']),
  status: z.int().nullable(),
  headers: z.record(z.string(), z.string()).nullable(),
  body: z.string().nullable(),
  order_id: z.string().nullable(),
});

/** The reply to such a request, or the problem that it is refused with. */
export function outcomeOf({
  outcome,
  status,
  headers,
  body,
  order_id,
}: z.infer<typeof KeyedOutcome>) {
  if (outcome === 'in-use') return new Problem('idempotency-key-in-use');
  if (outcome === 'reused') return new Problem('idempotency-key-reused');
  if (status === null || headers === null || body === null || order_id === null) {
    throw new TypeError('a stored reply is never without its parts');
  }
  return { status, headers, body, order_id, replayed: outcome === 'replayed' } satisfies Reply;
}

/** Deletes expired keys in batches, each in a transaction of its own; returns how many were deleted. */
export async function pruneIdempotencyKeys(
  { pool }: Pick<Deps, 'pool'>,
  batchSize = PRUNE_BATCH_SIZE,
): Promise<number> {
  let pruned = 0;
  for (;;) {
    const count = await pool.oneFirst(sql.type(z.object({ count: z.int() }))`
      SELECT prune_idempotency_keys(${batchSize}) AS count
    `);
    pruned += count;
    if (count < batchSize) return pruned;
  }
}
