import { z } from 'zod';

/** Text that Postgres can store unchanged: without NUL and lone surrogates. */
export const Text = z
  .string()
  .refine((text) => isStorable(text), 'must not contain NUL or a lone surrogate');

/** Whether jsonb can store a JSON value unchanged. */
export function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value === 'number') return Number.isFinite(value);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([key, member]) => isStorable(key) && isStorable(member));
}
