import { hash } from 'node:crypto';

/**
 * The one way to write a value as JSON, so that everybody signs, compares and verifies the same bytes: keys sorted
 * by code unit, no white space, strings and numbers as JSON.stringify has them (RFC 8785).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}

/** sha256 in hex; of text, in UTF-8. */
export function sha256(bytes: string | Buffer): string {
  return hash('sha256', bytes, 'hex');
}
