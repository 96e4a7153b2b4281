/*
 * Daily heads: digests of the trail of all orders at that time, chained and signed. A role that can switch off triggers
 * can rewrite an order's events with all their hashes, so that I7 finds nothing. It cannot rewrite an earlier head
 * without the key that signed it.
 */
import { ReadableError } from '../process.ts';
import { canonicalJson, sha256 } from '../canonical.ts';
import type { Violation } from './check.ts';
import type { WorkerDeps } from '../deps.ts';
import { isSignedBy, readSigner, type PublicKeys, type Signer } from './keys.ts';
import { openSession, type Session } from './session.ts';

/** The longest time between an event and the end of its transaction. Only used to read less. */
const MARGIN_MS = 86_400_000;

/** A head as audit.heads shows it. */
export type Head = {
  number: number;
  from_xid: string;
  to_xid: string;
  events: number;
  digest: string;
  key_id: string | null;
  signature: string | null;
  created_at: string;
};

/** What came of checking the heads. `covered_events` is what they claim in sum, below `to_xid`. */
export type HeadsResult = {
  checked: number;
  signatures: 'checked' | 'not checked';
  newest_at: string | null;
  to_xid: string;
  covered_events: number;
};

type Digest = { events: number; digest: string };

/** Makes the head of the day, signed with AUDIT_SIGNING_KEY_FILE; without one the log says that it is not. */
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
    await session.close();
  }
}

/**
 * Makes the next head: over every event of a transaction that has ended and that no head covers yet.
 * Without a key it stays unsigned. Null when no transaction has ended since the last one.
 */
export async function addHead(session: Session, signer: Signer | null): Promise<Head | null> {
  const previous = (await readHeads(session)).at(-1);
  const draft = await session.snapshot(() => draftHead(session, previous));
  if (!draft) return null;
  const signed = { ...draft, key_id: signer?.id ?? null };
  const signature = signer?.sign(signedBytes(signed)).toString('base64') ?? null;
  await session.rows(
    `INSERT INTO audit_heads (number, from_xid, to_xid, events, digest, key_id, signature, created_at)
     VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8)`,
    [...Object.values(pick(signed)), signed.key_id, signature, signed.created_at],
  );
  return { ...signed, signature };
}

function pick({ number, from_xid, to_xid, events, digest }: Unsigned) {
  return { number, from_xid, to_xid, events, digest };
}

type Unsigned = Omit<Head, 'signature' | 'key_id'>;

async function draftHead(session: Session, previous: Head | undefined): Promise<Unsigned | null> {
  const from_xid = previous?.to_xid ?? '0';
  const [now] = await session.rows<{ to_xid: string; created_at: string }>(`
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS to_xid,
      to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
  `);
  if (!now) throw new Error('SELECT without FROM gave no row');
  if (BigInt(now.to_xid) < BigInt(from_xid)) {
    throw new ReadableError(
      `Head ${previous?.number} covers transactions that this server has not come to yet: ` +
        'was the database restored from a dump? docs/audit.md says what to do',
    );
  }
  if (now.to_xid === from_xid) return null;
  const content = await digestEvents(session, { ...now, from_xid }, previous);
  const { events } = content;
  const digest = chain(previous, content);
  return { number: (previous?.number ?? 0) + 1, from_xid, ...now, events, digest };
}

async function digestEvents(
  session: Session,
  { from_xid, to_xid }: Pick<Head, 'from_xid' | 'to_xid'>,
  previous: Head | undefined,
): Promise<Digest> {
  const from_at = previous
    ? new Date(Date.parse(previous.created_at) - MARGIN_MS).toISOString()
    : '-infinity';
  const [row] = await session.rows<Digest>(
    `SELECT events::float8 AS events, encode(digest, 'hex') AS digest
     FROM audit.events_digest($1, $2, $3)`,
    [from_xid, to_xid, from_at],
  );
  if (!row) throw new Error('audit.events_digest gave no row');
  return row;
}

function chain(previous: Head | undefined, { digest }: Digest): string {
  return sha256(Buffer.from(`${previous?.digest ?? ''}${digest}`, 'hex'));
}

/** What a head's signature is over: everything but the signature itself. */
export function signedBytes(head: Omit<Head, 'signature'>): Buffer {
  return Buffer.from(canonicalJson({ ...head, signature: undefined }));
}

/** Every head there is, oldest first. */
export function readHeads({ rows }: Session): Promise<Head[]> {
  return rows<Head>(`
    SELECT number, from_xid::text, to_xid::text, events::float8 AS events, digest, key_id, signature,
      to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
    FROM audit.heads
    ORDER BY number
  `);
}

/** Recomputes the heads made since, each in a snapshot of its own, and checks the signatures of all. */
export async function checkHeads(
  session: Session,
  heads: Head[],
  keys: PublicKeys | null,
  since?: Date,
): Promise<{ result: HeadsResult; violations: Violation[] }> {
  const violations: Violation[] = [];
  let checked = 0;
  for (const [index, head] of heads.entries()) {
    const previous = heads[index - 1];
    const problems = [...linkProblems(head, previous), ...signatureProblems(heads, index, keys)];
    if (!since || Date.parse(head.created_at) >= since.getTime()) {
      problems.push(...(await contentProblems(session, head, previous)));
      checked += 1;
    }
    violations.push(...problems.map((problem) => toViolation(head, problem)));
  }
  const result: HeadsResult = {
    checked,
    signatures: keys ? 'checked' : 'not checked',
    newest_at: heads.at(-1)?.created_at ?? null,
    to_xid: coveredUpTo(heads),
    covered_events: heads.reduce((sum, { events }) => sum + events, 0),
  };
  return { result, violations };
}

/** Events of transactions below this one are covered by the heads. */
export function coveredUpTo(heads: Head[]): string {
  return heads.at(-1)?.to_xid ?? '0';
}

/** The violation that there are more or fewer events than the heads cover; none when the sums agree. */
export function coverage({ covered_events, to_xid }: HeadsResult, found: number): Violation[] {
  if (found === covered_events) return [];
  const problem = 'there are other events than the heads cover';
  return [{ ...HEADS, evidence: { problem, to_xid, covered_events, found_events: found } }];
}

const HEADS = { invariant: 'HEADS', severity: 'critical', order_id: null };

function toViolation(head: Head, problem: string): Violation {
  const { number, created_at, from_xid, to_xid, events, digest, key_id } = head;
  const evidence = { problem, number, created_at, from_xid, to_xid, events, digest, key_id };
  return { ...HEADS, evidence };
}

function linkProblems(head: Head, previous: Head | undefined): string[] {
  const follows =
    head.number === (previous?.number ?? 0) + 1 && head.from_xid === (previous?.to_xid ?? '0');
  return follows ? [] : ['a head before it is missing or was changed'];
}

async function contentProblems(
  session: Session,
  head: Head,
  previous: Head | undefined,
): Promise<string[]> {
  const content = await session.snapshot(() => digestEvents(session, head, previous));
  const isSame = content.events === head.events && chain(previous, content) === head.digest;
  return isSame ? [] : [`the events it covers are not what they were (${content.events} now)`];
}

function signatureProblems(heads: Head[], index: number, keys: PublicKeys | null): string[] {
  const head = heads[index];
  if (!head || !keys) return [];
  if (head.signature === null) {
    // One that is unsigned is vouched for by a later one that is: its digest goes into that one's.
    const isVouchedFor = heads.slice(index + 1).some(({ signature }) => signature !== null);
    const wasSigned = heads.slice(0, index).some(({ signature }) => signature !== null);
    return isVouchedFor && !wasSigned ? [] : ['it is not signed'];
  }
  const publicKey = keys.get(head.key_id ?? '');
  if (!publicKey) return [`another key has signed it: ${head.key_id}`];
  const isSigned = isSignedBy(publicKey, signedBytes(head), head.signature);
  return isSigned ? [] : ['the signature is not that of what it says'];
}
