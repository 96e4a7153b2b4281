import { randomUUID } from 'node:crypto';
import jsonwebtoken from 'jsonwebtoken';
import type { Config } from '../config.ts';
import type { SessionOfToken } from './live-sessions.ts';

/** RFC 9068. A token of another type is not an access token, even if it is signed with the same key. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';
export const ISSUER = 'oms';
export const AUDIENCE = 'oms-api';

/** Signs an access token for a session. */
export function signAccessToken(
  config: Pick<Config, 'JWT_SECRET'>,
  { user_id, session_id }: SessionOfToken,
  lifetimeSeconds: number,
): string {
  return jsonwebtoken.sign({ sid: session_id }, config.JWT_SECRET, {
    algorithm: 'HS256',
    header: { alg: 'HS256', typ: ACCESS_TOKEN_TYPE },
    issuer: ISSUER,
    audience: AUDIENCE,
    subject: user_id,
    jwtid: randomUUID(),
    expiresIn: lifetimeSeconds,
  });
}
