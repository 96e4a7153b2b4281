import { randomUUID } from 'node:crypto';
import type { SessionOfToken } from './live-sessions.ts';
import type { TokenKeys } from './token-keys.ts';

/** RFC 9068. A token of another type is not an access token, even if it is signed with the same key. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';
export const ISSUER = 'oms';
export const AUDIENCE = 'oms-api';

/** Signs an access token for a session. */
export function signAccessToken(
  keys: TokenKeys,
  { user_id, session_id }: SessionOfToken,
  lifetimeSeconds: number,
): string {
  const iat = Math.floor(Date.now() / 1000);
  const parties = { iss: ISSUER, aud: AUDIENCE, sub: user_id };
  const times = { iat, exp: iat + lifetimeSeconds };
  return keys.sign({ ...parties, ...times, sid: session_id, jti: randomUUID() }, ACCESS_TOKEN_TYPE);
}
