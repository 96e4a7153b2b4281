import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ReadableError } from '../process.ts';
import { canonicalJson } from '../canonical.ts';
import { digestSections, evidenceText, FORMAT, type Evidence } from './evidence.ts';
import { Head, signedBytes } from './heads.ts';
import { isSignedBy, type PublicKeys } from './keys.ts';

const EvidenceFile = z.strictObject({
  sections: z.record(z.string(), z.unknown()),
  signed: z.strictObject({
    format: z.literal(FORMAT),
    key_id: z.string(),
    section_sha256: z.record(z.string(), z.string()),
  }),
  public_key: z.string(),
  signature: z.string(),
});

/** The problems of an evidence file; none when it is as it was signed. */
type Verification = { problems: string[]; evidence: Evidence | null };

/**
 * Checks an evidence file against public keys that the caller has from another source. The key inside the file proves
 * nothing, because a forger can replace it.
 */
export function verifyEvidence(file: string, keys: PublicKeys): Verification {
  const text = readEvidence(file);
  const evidence = parseEvidence(text);
  if (typeof evidence === 'string') return { problems: [evidence], evidence: null };
  const problems = [
    ...sectionProblems(evidence),
    ...signatureProblems(evidence, keys),
    ...headProblems(evidence, keys),
  ];
  if (problems.length === 0 && text !== evidenceText(evidence)) {
    problems.push(
      `the file differs from what was written: ${firstDifference(text, evidenceText(evidence))}`,
    );
  }
  return { problems, evidence };
}

function readEvidence(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ReadableError(`The evidence file ${file} cannot be read`, { cause });
  }
}

function parseEvidence(text: string): Evidence | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const where = `${Buffer.byteLength(text)} bytes long`;
    return `the file is cut off or not JSON: ${(error as Error).message} (${where})`;
  }
  const result = EvidenceFile.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `/${path.join('/')} ${message}`);
  return `the file does not have the format of evidence: ${issues.join('; ')}`;
}

function sectionProblems({ sections, signed }: Evidence): string[] {
  const found = digestSections(sections);
  const names = new Set([...Object.keys(signed.section_sha256), ...Object.keys(found)]);
  return [...names].flatMap((name) => {
    if (!(name in found)) return [`section ${name} is missing`];
    if (!(name in signed.section_sha256)) return [`section ${name} was added`];
    return found[name] === signed.section_sha256[name] ? [] : [`section ${name} was altered`];
  });
}

function signatureProblems(
  { signed, signature, public_key }: Evidence,
  keys: PublicKeys,
): string[] {
  const key = keys.get(signed.key_id);
  if (!key) {
    const trusted = [...keys.keys()].join(', ');
    return [`the signature is by key ${signed.key_id}, not by ${trusted}`];
  }
  if (!isSignedBy(key, Buffer.from(canonicalJson(signed)), signature)) {
    return ['the signature does not match the list of digests (signed, signature)'];
  }
  const inside = key.export({ type: 'spki', format: 'pem' });
  return public_key === inside ? [] : ['public_key is not the key that signed the file'];
}

/** The heads in the file have signatures of their own. */
function headProblems({ sections }: Evidence, keys: PublicKeys): string[] {
  const { data: heads = [] } = z.array(Head).safeParse(sections.heads);
  return heads.flatMap((head) => {
    const key = keys.get(head.key_id ?? '');
    if (!key || head.signature === null) return [];
    const isSigned = isSignedBy(key, signedBytes(head), head.signature);
    return isSigned ? [] : [`section heads: the signature of head ${head.number} does not match`];
  });
}

function firstDifference(text: string, expected: string): string {
  let at = 0;
  while (at < text.length && text[at] === expected[at]) at += 1;
  return `line ${text.slice(0, at).split('\n').length}`;
}
