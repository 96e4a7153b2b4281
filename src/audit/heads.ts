/*
 * Daily heads: digests of the trail of all orders at that time, chained and signed. A role that can switch off triggers
 * can rewrite an order's events with all their hashes, so that I7 finds nothing. Without the signing key, it cannot
 * sign a head that matches the rewritten events. check-heads.ts recomputes the heads.
 */
import { sql, type CommonQueryMethods } from 'slonik';
import { z } from 'zod';
import { canonicalJson, sha256 } from '../canonical.ts';
import type { WorkerDeps } from '../deps.ts';
import { ReadableError } from '../process.ts';
import { readSigner, type Signer } from './keys.ts';
import { inSnapshot, openSession, type AuditSession } from './session.ts';

/** No transaction is expected to stay open for longer after its event. With this, a head reads less of the table. */
const MARGIN_MS = 86_400_000;

/** A head as audit.heads shows it. */
export const Head = z.object({
  number: z.int(),
  from_xid: z.string(),
  to_xid: z.string(),
  events: z.int(),
  digest: z.string(),
  key_id: z.string().nullable(),
  signature: z.string().nullable(),
  created_at: z.string(),
});
export type Head = z.infer<typeof Head>;

const Digest = z.object({ events: z.int(), digest: z.string() });
type Digest = z.infer<typeof Digest>;

/** Makes the head of the day, signed with AUDIT_SIGNING_KEY_FILE. Without the key, logs that the head is not signed. */
export async function signDailyHead({
  config,
  log,
}: Pick<WorkerDeps, 'config' | 'log'>): Promise<Head | null> {
  const { DATABASE_URL, AUDIT_SIGNING_KEY_FILE } = config;
  const signer = AUDIT_SIGNING_KEY_FILE === undefined ? null : readSigner(AUDIT_SIGNING_KEY_FILE);
  const session = await openSession(DATABASE_URL);
  try {
    const head = await addHead(session, signer);
    if (!head) return null;
    const { number, events, digest, key_id } = head;
    log.info({ number, events, digest, key_id }, 'daily head stored');
    if (!signer) log.warn({ number }, 'daily head is not signed: set AUDIT_SIGNING_KEY_FILE');
    return head;
  } finally {
    await session.end();
  }
}

/**
 * Makes the next head. It covers the events of all transactions before the oldest one that is still running, except
 * those that an earlier head covers. Without a key it is not signed. Returns null when there is no such transaction.
 */
export async function addHead(session: AuditSession, signer: Signer | null): Promise<Head | null> {
  const previous = (await readHeads(session)).at(-1);
  const draft = await inSnapshot(session, (tx) => draftHead(tx, previous));
  if (!draft) return null;
  const signed = { ...draft, key_id: signer?.id ?? null };
  const signature = signer?.sign(signedBytes(signed)).toString('base64') ?? null;
  const { number, from_xid, to_xid, events, digest, key_id, created_at } = signed;
  await session.query(sql.unsafe`
    INSERT INTO audit_heads (number, from_xid, to_xid, events, digest, key_id, signature, created_at)
    VALUES (
      ${number}, ${from_xid}, ${to_xid}, ${events}, decode(${digest}, 'hex'),
      ${key_id}, ${signature}, ${created_at}
    )
  `);
  return { ...signed, signature };
}

type Unsigned = Omit<Head, 'signature' | 'key_id'>;

const Now = z.object({ to_xid: z.string(), created_at: z.string() });

async function draftHead(
  tx: CommonQueryMethods,
  previous: Head | undefined,
): Promise<Unsigned | null> {
  const from_xid = previous?.to_xid ?? '0';
  const now = await tx.one(sql.type(Now)`
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS to_xid,
      to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
  `);
  if (BigInt(now.to_xid) < BigInt(from_xid)) {
    throw new ReadableError(
      `Head ${previous?.number} covers transactions that this server has not reached yet: ` +
        'was the database restored from a dump? See docs/audit.md',
    );
  }
  if (now.to_xid === from_xid) return null;
  const content = await digestEvents(tx, { ...now, from_xid }, previous);
  const { events } = content;
  const digest = chain(previous, content);
  return { number: (previous?.number ?? 0) + 1, from_xid, ...now, events, digest };
}

/** The digest over the events that a head covers. */
export function digestEvents(
  tx: CommonQueryMethods,
  { from_xid, to_xid }: Pick<Head, 'from_xid' | 'to_xid'>,
  previous: Head | undefined,
): Promise<Digest> {
  const from_at = previous
    ? new Date(Date.parse(previous.created_at) - MARGIN_MS).toISOString()
    : '-infinity';
  return tx.one(sql.type(Digest)`
    SELECT events::float8 AS events, encode(digest, 'hex') AS digest
    FROM audit.events_digest(${from_xid}, ${to_xid}, ${from_at})
  `);
}

/** Chains the digest of a head to the digest of the head before it. */
export function chain(previous: Head | undefined, { digest }: Digest): string {
  return sha256(Buffer.from(`${previous?.digest ?? ''}${digest}`, 'hex'));
}

/** The bytes that a head's signature is over: everything but the signature itself. */
export function signedBytes(head: Omit<Head, 'signature'>): Buffer {
  return Buffer.from(canonicalJson({ ...head, signature: undefined }));
}

/** Reads all heads, oldest first. */
export async function readHeads(session: AuditSession): Promise<Head[]> {
  const heads = await session.any(sql.type(Head)`
    SELECT number, from_xid::text, to_xid::text, events::float8 AS events, digest, key_id, signature,
      to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
    FROM audit.heads
    ORDER BY number
  `);
  return [...heads];
}
