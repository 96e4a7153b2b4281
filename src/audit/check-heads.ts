/*
 * The check of the daily heads: each follows the one before it, covers the same events as when it was made, and has the
 * signature of a trusted key.
 */
import type { Violation } from './check.ts';
import { chain, digestEvents, signedBytes, type Head } from './heads.ts';
import { isSignedBy, type PublicKeys } from './keys.ts';
import { inSnapshot, type AuditSession } from './session.ts';

/** The result of the check. `covered_events` is the number of events that the heads cover, below `to_xid`. */
export type HeadsResult = {
  checked: number;
  signatures: 'checked' | 'not checked';
  newest_at: string | null;
  to_xid: string;
  covered_events: number;
};

/** Recomputes the heads made at `since` or later, each in its own snapshot. With keys, checks all signatures. */
export async function checkHeads(
  session: AuditSession,
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

/** A violation when there are more or fewer events than the heads cover. */
export function coverage({ covered_events, to_xid }: HeadsResult, found: number): Violation[] {
  if (found === covered_events) return [];
  const problem = 'there are more or fewer events than the heads cover';
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
  return follows ? [] : ['the head before it is missing or was changed'];
}

async function contentProblems(
  session: AuditSession,
  head: Head,
  previous: Head | undefined,
): Promise<string[]> {
  const content = await inSnapshot(session, (tx) => digestEvents(tx, head, previous));
  const isSame = content.events === head.events && chain(previous, content) === head.digest;
  return isSame ? [] : [`the events that it covers have changed (${content.events} now)`];
}

function signatureProblems(heads: Head[], index: number, keys: PublicKeys | null): string[] {
  const head = heads[index];
  if (!head || !keys) return [];
  if (head.signature === null) {
    // A later signed head covers this one: the digest of this head is part of the later digest.
    const isCovered = heads.slice(index + 1).some(({ signature }) => signature !== null);
    const wasSigned = heads.slice(0, index).some(({ signature }) => signature !== null);
    return isCovered && !wasSigned ? [] : ['it is not signed'];
  }
  const publicKey = keys.get(head.key_id ?? '');
  if (!publicKey) return [`it is signed by another key: ${head.key_id}`];
  const isSigned = isSignedBy(publicKey, signedBytes(head), head.signature);
  return isSigned ? [] : ['its signature does not match its content'];
}
