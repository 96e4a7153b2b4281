/*
 * Requests with an Idempotency-Key, and the orders and keys that they leave in the database.
 */
import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../../src/deps.ts';
import type { KeyedRequest } from '../../src/http/idempotency.ts';
import { fingerprintOf } from '../../src/http/idempotency.ts';
import type { signUp } from './context.ts';

type User = Pick<Awaited<ReturnType<typeof signUp>>, 'token'>;

/** A reply whose body is not parsed, with the header that marks a replay. */
type KeyedReply = {
  status: number;
  text: string;
  location: string | null;
  type: string | null;
  replayed: string | null;
  headers: Headers;
};

/** Sends a request with or without a key. */
export async function sendKeyed(
  { token }: User,
  origin: string,
  [method, path]: readonly [method: string, path: string],
  key: string | null,
  body?: object | string,
): Promise<KeyedReply> {
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(key !== null && { 'idempotency-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const { status, headers } = response;
  const [location, type] = [headers.get('location'), headers.get('content-type')];
  const replayed = headers.get('idempotent-replayed');
  return { status, text: await response.text(), location, type, replayed, headers };
}

/** A request with a key, as an argument of the domain functions. */
export function keyedRequest(user_id: string, key: string, body?: unknown): KeyedRequest {
  const fingerprint = fingerprintOf(body);
  return { user_id, method: 'POST', path: '/orders', key, fingerprint };
}

/** How many orders a user has. */
export function ordersOf({ pool }: Deps, userId: string): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM orders WHERE user_id = ${userId}
  `);
}

/** The stored keys of a user, also the expired ones. */
export function keysOf({ pool }: Deps, userId: string): Promise<readonly string[]> {
  return pool.anyFirst(sql.type(z.object({ key: z.string() }))`
    SELECT key FROM idempotency_keys WHERE user_id = ${userId} ORDER BY key
  `);
}

/** Makes every key of a user expire now. */
export async function expireKeys({ pool }: Deps, userId: string): Promise<void> {
  await pool.query(sql.unsafe`
    UPDATE idempotency_keys
    SET created_at = now() - interval '1 day', expires_at = now() - interval '1 millisecond'
    WHERE user_id = ${userId}
  `);
}
