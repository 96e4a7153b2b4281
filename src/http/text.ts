import { z } from 'zod';

/** Text that Postgres can store as it came: no NUL, no half of a surrogate pair. */
export const Text = z
  .string()
  .refine((text) => isStorable(text), 'must not contain NUL or half a surrogate pair');

/** Whether a JSON value survives the way into jsonb and back unchanged. */
export function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([key, member]) => isStorable(key) && isStorable(member));
}
