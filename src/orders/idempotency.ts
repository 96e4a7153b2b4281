/*
 * The database side of safe retries. A transaction claims the keys of its requests first, has its effect,
 * and stores the replies: all of it commits, or none.
 *
 * What is in flight is known by an advisory lock that belongs to the transaction. No transaction waits for it:
 * who does not get it is told so. And nothing has to be cleaned up after a crash, since the lock goes
 * with the connection. The statement that takes the locks looks for stored replies too. One that is committed
 * just between the two is not seen, but met: storing ours beside it is refused, and everything rolls back.
 *
 * Everything takes a list, so that one transaction can serve requests of many users. Of two under one key
 * in one list, the first is served, and the second told that the first is in flight.
 */
import { hash } from 'node:crypto';
import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import { jsonbRows } from '../db/jsonb.ts';
import type { Deps } from '../deps.ts';
import type { KeyedRequest, Reply } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';

const PRUNE_BATCH_SIZE = 10_000;

/** What is known of a request: null when it is this transaction's to serve; else its reply or refusal. */
export type Claim = null | Reply | Problem;

/** What the database knows of a request that is not simply this transaction's to serve. */
const Known = z.object({
  n: z.number(),
  fingerprint: z.string().nullable(), // NULL: nothing is stored, somebody else has the lock
  status: z.number().nullable(),
  headers: z.record(z.string(), z.string()).nullable(),
  body: z.string().nullable(),
  order_id: z.guid().nullable(),
});

/**
 * Claims the keys of requests for the rest of the transaction, which must not have read anything yet. Says
 * for each, in order, what is known of it. A request without a key is always the transaction's to serve.
 */
export async function claimKeys(
  tx: DatabaseTransactionConnection,
  requests: (KeyedRequest | undefined)[],
): Promise<Claim[]> {
  const keyed = requests.flatMap((request, n) => (request ? { n, ...request } : []));
  if (keyed.length === 0) return requests.map(() => null);
  const claims: Claim[] = requests.map(() => null);
  for (const known of await lockAndLook(tx, withLocks(keyed))) {
    claims[known.n] = claimFrom(known, requests[known.n]);
  }
  return claims;
}

function claimFrom(known: z.infer<typeof Known>, request: KeyedRequest | undefined): Claim {
  const { fingerprint, status, headers, body, order_id } = known;
  if (fingerprint === null) return new Problem('idempotency-key-in-use');
  if (fingerprint !== request?.fingerprint) return new Problem('idempotency-key-reused');
  if (status === null || headers === null || body === null || order_id === null) {
    throw new TypeError('a stored reply is never without its parts');
  }
  return { status, headers, body, order_id, replayed: true };
}

type NumberedRequest = KeyedRequest & { n: number };

/** Gives each request the number of its key's lock; of several under one key, only the first. */
function withLocks(requests: NumberedRequest[]) {
  const taken = new Set<string>();
  return requests.map(({ n, user_id, method, path, key }) => {
    const scope = JSON.stringify([user_id, method, path, key]);
    const isFirst = !taken.has(scope);
    taken.add(scope);
    return { n, user_id, method, path, key, lock: isFirst ? lockOf(scope) : null };
  });
}

/** The number of a key's lock. That two keys share one is as likely as 1 in 2^64, and costs a retry. */
function lockOf(scope: string): string {
  return hash('sha256', scope, 'buffer').readBigInt64BE().toString();
}

// Says nothing of those whose lock was free and whose key is new. An expired key counts as absent, whether it
// has been pruned or not. LATERAL … LIMIT keeps the planner to one look into the index for each request:
// while the table is small, it would rather hash all of it. Not prepared, lest a plan from then be kept.
function lockAndLook(
  tx: DatabaseTransactionConnection,
  requests: ReturnType<typeof withLocks>,
): Promise<readonly z.infer<typeof Known>[]> {
  return tx.any(sql.type(Known)`
    SELECT n, fingerprint, status, headers, body, order_id
    FROM (
      SELECT
        r.n, coalesce(pg_try_advisory_xact_lock(r.lock), false) AS is_held,
        encode(k.fingerprint, 'hex') AS fingerprint, k.status, k.headers, k.body::text AS body, k.order_id
      FROM jsonb_to_recordset(${jsonbRows(requests)}) AS r(
        n integer, user_id uuid, method text, path text, key text, lock bigint
      )
      LEFT JOIN LATERAL (
        SELECT s.fingerprint, s.status, s.headers, s.body, s.order_id
        FROM idempotency_keys AS s
        WHERE s.user_id = r.user_id AND s.method = r.method AND s.path = r.path AND s.key = r.key
          AND s.expires_at > now()
        LIMIT 1
      ) AS k ON true
      OFFSET 0 -- each lock is asked for once
    ) AS known
    WHERE NOT is_held OR fingerprint IS NOT NULL
  `);
}

/** Stores the new ones of these replies under the keys of their requests, which the transaction has claimed. */
export async function storeReplies(
  { config }: Pick<Deps, 'config'>,
  tx: DatabaseTransactionConnection,
  requests: (KeyedRequest | undefined)[],
  outcomes: (Reply | Problem)[],
): Promise<void> {
  const rows = requests.flatMap((request, index) => {
    const outcome = outcomes[index];
    if (!request || !outcome || outcome instanceof Problem || outcome.replayed) return [];
    const { replayed: _, ...reply } = outcome;
    return { ...request, ...reply };
  });
  if (rows.length === 0) return;
  const { rowCount } = await tx.query(sql.prepared('store-replies', z.never())`
    INSERT INTO idempotency_keys AS k
      (user_id, method, path, key, fingerprint, status, headers, body, order_id, expires_at)
    SELECT
      r.user_id, r.method, r.path, r.key, decode(r.fingerprint, 'hex'), r.status, r.headers,
      r.body::json, r.order_id, now() + make_interval(hours => ${config.IDEMPOTENCY_KEY_TTL_HOURS})
    FROM jsonb_to_recordset(${jsonbRows(rows)}) AS r(
      user_id uuid, method text, path text, key text, fingerprint text, status integer, headers jsonb,
      body text, order_id uuid
    )
    ON CONFLICT ON CONSTRAINT idempotency_keys_pk DO UPDATE SET
      fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
      body = excluded.body, order_id = excluded.order_id, xact_id = excluded.xact_id,
      created_at = excluded.created_at, expires_at = excluded.expires_at
    WHERE k.expires_at <= now()
  `);
  // Somebody has stored one without the lock, so what this transaction did must not stand beside it.
  if (rowCount !== rows.length) throw new Problem('idempotency-key-in-use');
}

/** Deletes keys that have expired, some at a time, each time in a transaction; returns how many. */
export async function pruneIdempotencyKeys(
  { pool }: Pick<Deps, 'pool'>,
  batchSize = PRUNE_BATCH_SIZE,
): Promise<number> {
  let pruned = 0;
  for (;;) {
    // A key that is being used again is locked, and passed over.
    const { rowCount } = await pool.query(sql.unsafe`
      DELETE FROM idempotency_keys
      WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_keys WHERE expires_at <= now()
        ORDER BY expires_at
        LIMIT ${batchSize}
        FOR UPDATE SKIP LOCKED
      ))
    `);
    pruned += rowCount;
    if (rowCount < batchSize) return pruned;
  }
}
