import { z } from 'zod';
import { isExact } from '../http/exact-number.ts';
import { isStorable } from '../http/text.ts';

const METADATA_BYTES_MAX = 4096;

/** The metadata of a new order. The limit is that of the domain order_metadata in the database. */
export const Metadata = z
  .record(z.string(), z.unknown())
  .refine((metadata) => isSmall(metadata), {
    error: `must be at most ${METADATA_BYTES_MAX} bytes of JSON, as Postgres writes it`,
    abort: true,
  })
  .refine(
    isStorable,
    'must not contain NUL, a lone surrogate, or a number that a double cannot hold exactly',
  )
  .meta({ description: `An object of at most ${METADATA_BYTES_MAX} bytes of JSON` });

/** The metadata of a stored order, from its JSON text. Is written as JSON with the same numbers, digit by digit. */
export const StoredMetadata = z
  .string()
  .transform((text) => JSON.parse(text, NEEDS_CARE.test(text) ? keepNumber : undefined) as unknown)
  .pipe(z.record(z.string(), z.unknown()));

/** A double holds every number of fewer characters exactly. */
const NEEDS_CARE = /[\d.]{16}/;

/** JSON.rawJSON, which the types of TypeScript lack: JSON.stringify writes its result as this text. */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => object };

// An order that was placed by SQL can have numbers that a double cannot hold.
function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return isExact(value, context.source) ? value : rawJSON(context.source);
}

// The second count is recursive, so the first one keeps deeply nested metadata away from it.
function isSmall(metadata: object): boolean {
  return (
    Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES_MAX &&
    storedBytes(metadata) <= METADATA_BYTES_MAX
  );
}

/** The length of a JSON value as Postgres writes it: a space after each `,` and `:`, and no number with an exponent. */
export function storedBytes(value: unknown): number {
  if (typeof value === 'number') return plainDecimal(JSON.stringify(value)).length;
  if (value === null || typeof value !== 'object') return Buffer.byteLength(JSON.stringify(value));
  const members = Array.isArray(value)
    ? value.map(storedBytes)
    : Object.entries(value).map(([name, member]) => storedBytes(name) + 2 + storedBytes(member));
  const separators = 2 * Math.max(0, members.length - 1);
  return members.reduce((sum, bytes) => sum + bytes, 2 + separators);
}

/** Writes a number of JSON.stringify without exponent: `1.5e-7` → `0.00000015`. */
function plainDecimal(number: string): string {
  const [, sign = '', integer = '', fraction = '', exponent] =
    /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(number) ?? [];
  if (exponent === undefined) return number;
  const digits = integer + fraction;
  const point = 1 + Number(exponent); // the place of the decimal point in the digits
  return point > 0 ? sign + digits.padEnd(point, '0') : `${sign}0.${'0'.repeat(-point)}${digits}`;
}
