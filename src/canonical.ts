import { hash } from 'node:crypto';

/**
 * Writes a value as JSON in its canonical form (RFC 8785), so that equal values have the same bytes, to sign and to
 * compare: keys sorted by code unit, no white space, strings and numbers as JSON.stringify writes them.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}

/** The sha256 of bytes, or of a text in UTF-8, in hex. */
export function sha256(bytes: string | Buffer): string {
  return hash('sha256', bytes, 'hex');
}
