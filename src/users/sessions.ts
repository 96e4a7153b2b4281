/*
 * Sessions: a short-lived access token (JWT, RFC 9068) and a refresh token (opaque, RFC 9700 4.14.2)
 * that is exchanged for its successor at each use. All tokens that descend from one login are a
 * family. Using a token a second time revokes the family, since one of the two users is a thief;
 * except for a few seconds after the first use, when the reply may simply have been lost. Then the
 * same successor is given again, unless it has been used itself: a family never has two branches.
 *
 * So a successor is not random but derived, HMAC(secret, token): who has the token and not the secret
 * cannot know it, and we can give it again without having stored it.
 *
 * The rules are in sql/functions, and only there. Those functions compare hashes; none gives one out.
 */
import { createHash, createHmac, randomBytes, randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import type { AccountDeps } from './passwords.ts';
import type { Credentials } from './schema.ts';

const Salt = z.object({ salt: z.string().nullable() });
const Started = z.object({ user_id: z.guid(), expires_at: z.iso.datetime() });

/** A session as it stands after a login or a refresh. */
export type Session = z.infer<typeof Started> & { refresh_token: string };

const Refreshed = z.discriminatedUnion('outcome', [
  Started.extend({ outcome: z.enum(['rotated', 'repeated']) }),
  z.object({ outcome: z.literal('reused'), user_id: z.guid(), family_id: z.guid() }),
  z.object({ outcome: z.literal('refused') }),
]);

/**
 * Starts a session; any number of them may live side by side. An unknown address and a wrong password
 * look the same, and take the same time: the same two calls, and one argon2 between them.
 */
export async function logIn(deps: AccountDeps, { email, password }: Credentials): Promise<Session> {
  const { pool, passwords, config } = deps;
  const salt = await pool.oneFirst(sql.prepared('password-salt', Salt)`
    SELECT password_salt(${email}) AS salt
  `);
  const computedHash = await passwords.salted(password, salt);
  const refreshToken = randomBytes(32).toString('base64url');
  const session = await pool.maybeOne(sql.prepared('log-in', Started)`
    SELECT user_id, expires_at
    FROM log_in(
      ${email}, ${computedHash}, ${randomUUIDv7()}, ${hashOf(refreshToken)},
      ${config.REFRESH_TOKEN_TTL_SECONDS}
    )
  `);
  if (!session) throw new Problem('invalid-credentials');
  return { ...session, refresh_token: refreshToken };
}

/** Exchanges a refresh token for its successor. A token that is not good any more gets a 401. */
export async function refreshSession(deps: ApiDeps, refreshToken: string): Promise<Session> {
  const { JWT_SECRET, REFRESH_GRACE_SECONDS } = deps.config;
  const successor = createHmac('sha256', JWT_SECRET)
    .update(`refresh ${refreshToken}`)
    .digest('base64url');
  const session = await deps.pool.one(sql.prepared('refresh-session', Refreshed)`
    SELECT outcome, user_id, family_id, expires_at
    FROM refresh_session(
      ${hashOf(refreshToken)}, ${randomUUIDv7()}, ${hashOf(successor)}, ${REFRESH_GRACE_SECONDS}
    )
  `);
  if (session.outcome === 'rotated' || session.outcome === 'repeated') {
    const { user_id, expires_at } = session;
    return { user_id, refresh_token: successor, expires_at };
  }
  if (session.outcome === 'reused') {
    const { user_id, family_id } = session;
    deps.log.warn({ user_id, family_id }, 'refresh token reused');
  }
  throw new Problem('invalid-token', 'The refresh token is not valid.');
}

/** Ends the session that a refresh token belongs to. Ending it twice, or never having had it, is fine. */
export async function endSession({ pool }: ApiDeps, refreshToken: string): Promise<void> {
  await pool.query(sql.unsafe`SELECT end_session(${hashOf(refreshToken)})`);
}

/** Ends every session of a user, also one that is being refreshed at this moment. */
export async function endAllSessions({ pool }: ApiDeps, userId: string): Promise<void> {
  await pool.query(sql.unsafe`SELECT end_all_sessions(${userId})`);
}

/** Deletes tokens that have expired; returns how many. */
export function pruneRefreshTokens({ pool }: Pick<ApiDeps, 'pool'>): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ pruned: z.int() }))`
    SELECT prune_refresh_tokens() AS pruned
  `);
}

function hashOf(token: string) {
  return sql.binary(createHash('sha256').update(token).digest());
}
