import { z } from 'zod';
import { isExact } from '../http/exact-number.ts';
import { isStorable } from '../http/text.ts';

const METADATA_BYTES_MAX = 4096;

/** The metadata of a new order. The limit is the same as that of the domain order_metadata in the database. */
export const Metadata = z
  .record(z.string(), z.unknown())
  .refine((metadata) => isSmall(metadata), {
    error: `must be at most ${METADATA_BYTES_MAX} bytes of JSON, with a space after each , and : and no exponents`,
    abort: true,
  })
  .refine(
    isStorable,
    'must not contain NUL, a lone surrogate, or a number that a double cannot hold exactly',
  )
  .meta({ description: `An object of at most ${METADATA_BYTES_MAX} bytes of JSON` });

/** Parses the JSON text of the metadata of an order. JSON.stringify writes each number with the same value again. */
export const StoredMetadata = z
  .string()
  .transform((text) => JSON.parse(text, LONG_NUMBER.test(text) ? keepNumber : undefined) as unknown)
  .pipe(z.record(z.string(), z.unknown()));

/** A number of 16 characters or more. A double holds every shorter one exactly. */
const LONG_NUMBER = /[\d.]{16}/;

/** JSON.stringify writes the result of rawJSON(text) as that text. TypeScript's types lack it. */
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => object };

// An order that was placed by SQL can have numbers that a double cannot hold.
function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return isExact(value, context.source) ? value : rawJSON(context.source);
}

// storedBytes is recursive, so metadata that may be nested too deeply for it is refused first.
function isSmall(metadata: object): boolean {
  return (
    Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES_MAX &&
    storedBytes(metadata) <= METADATA_BYTES_MAX
  );
}

/** The bytes of a JSON value as Postgres writes it: with a space after each `,` and `:`, and without exponents. */
export function storedBytes(value: unknown): number {
  if (typeof value === 'number') return plainDecimal(JSON.stringify(value)).length;
  if (value === null || typeof value !== 'object') return Buffer.byteLength(JSON.stringify(value));
  const members = Array.isArray(value)
    ? value.map(storedBytes)
    : Object.entries(value).map(([name, member]) => storedBytes(name) + 2 + storedBytes(member));
  const separators = 2 * Math.max(0, members.length - 1);
  return members.reduce((sum, bytes) => sum + bytes, 2 + separators);
}

/** Rewrites a number from JSON.stringify without an exponent: `1.5e-7` → `0.00000015`. */
function plainDecimal(number: string): string {
  const [, sign = '', integer = '', fraction = '', exponent] =
    /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(number) ?? [];
  if (exponent === undefined) return number;
  const digits = integer + fraction;
  const point = 1 + Number(exponent); // the place of the decimal point in the digits
  return point > 0 ? sign + digits.padEnd(point, '0') : `${sign}0.${'0'.repeat(-point)}${digits}`;
}
