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

/** The columns of a reply in the result of place_orders or cancel_order. They are NULL when there is no reply. */
export const ReplyColumns = z.object({
  status: z.int().nullable(),
  headers: z.record(z.string(), z.string()).nullable(),
  body: z.string().nullable(),
});

/** The reply to a request, new or stored, or the problem with which its Idempotency-Key is refused. */
export function replyOrProblem(
  outcome: string,
  { status, headers, body }: z.infer<typeof ReplyColumns>,
  order_id: string | null,
): Reply | Problem {
  if (outcome === 'in-use') return new Problem('idempotency-key-in-use');
  if (outcome === 'reused') return new Problem('idempotency-key-reused');
  if (status === null || headers === null || body === null || order_id === null) {
    throw new TypeError(`outcome ${outcome} without a complete reply`);
  }
  return { status, headers, body, order_id, replayed: outcome === 'replayed' };
}

/** Deletes expired keys in batches, each in a transaction of its own. Returns how many it deleted. */
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
