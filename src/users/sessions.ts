/*
 * Sessions: a short-lived access token (JWT, RFC 9068) and a refresh token (opaque, RFC 9700 4.14.2)
 * that is exchanged for its successor at each use. All tokens that descend from one login are a
 * family. Using a token a second time revokes the family, since one of the two users is a thief;
 * except for a few seconds after the first use, when the reply may simply have been lost. Then the
 * same successor is given again, unless it has been used itself: a family never has two branches.
 *
 * So a successor is not random but derived, HMAC(secret, token): who has the token and not the secret
 * cannot know it, and we can give it again without having stored it.
 */
import { createHash, createHmac, randomBytes, randomUUIDv7 } from 'node:crypto';
import { sql, type DatabaseTransactionConnection } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';

/** A session as it stands after a login or a refresh. */
export type Session = { user_id: string; refresh_token: string; expires_at: string };

type Family = { id: string; user_id: string; expires_at: string };

const StoredToken = z.object({
  family_id: z.guid(),
  user_id: z.guid(),
  expires_at: z.iso.datetime(),
  expired: z.boolean(),
  revoked: z.boolean(),
  used: z.boolean(),
  in_grace: z.boolean(),
});

/** Starts a session. Any number of them may live side by side. */
export function startSession({ pool, config }: Deps, userId: string): Promise<Session> {
  const id = randomUUIDv7();
  const expiresAt = new Date(Date.now() + config.REFRESH_TOKEN_TTL_SECONDS * 1000).toISOString();
  const family = { id, user_id: userId, expires_at: expiresAt };
  const token = randomBytes(32).toString('base64url');
  return pool.transaction((tx) => issue(tx, id, token, family));
}

/** Exchanges a refresh token for its successor. A token that is not good any more gets a 401. */
export async function refreshSession(deps: Deps, refreshToken: string): Promise<Session> {
  const { JWT_SECRET, REFRESH_GRACE_SECONDS } = deps.config;
  const successor = createHmac('sha256', JWT_SECRET)
    .update(`refresh ${refreshToken}`)
    .digest('base64url');
  const session = await deps.pool.transaction(async (tx) => {
    const token = await lockToken(tx, refreshToken, REFRESH_GRACE_SECONDS);
    if (!token || token.revoked || token.expired) return null;
    const { family_id, user_id, expires_at } = token;
    if (!token.used) {
      await tx.query(sql.unsafe`
        UPDATE refresh_tokens SET used_at = now() WHERE token_hash = ${hashOf(refreshToken)}
      `);
      return issue(tx, randomUUIDv7(), successor, { id: family_id, user_id, expires_at });
    }
    const replyMayBeLost = token.in_grace && !(await lockToken(tx, successor, 0))?.used;
    if (replyMayBeLost) return { user_id, refresh_token: successor, expires_at };
    await revokeFamily(tx, family_id);
    deps.log.warn({ user_id, family_id }, 'refresh token reused');
    return null;
  });
  if (!session) throw new Problem('invalid-token', 'The refresh token is not valid.');
  return session;
}

/** Ends the session that a refresh token belongs to. Ending it twice, or never having had it, is fine. */
export async function endSession({ pool }: Deps, refreshToken: string): Promise<void> {
  await pool.transaction(async (tx) => {
    const token = await lockToken(tx, refreshToken, 0);
    if (token) await revokeFamily(tx, token.family_id);
  });
}

/** Ends every session of a user, also one that is being refreshed at this moment. */
export async function endAllSessions({ pool }: Deps, userId: string): Promise<void> {
  await pool.transaction(async (tx) => {
    // Two statements: the second sees what a rotation committed while the first waited for it.
    await tx.query(sql.unsafe`
      SELECT FROM refresh_tokens
      WHERE user_id = ${userId} AND id = family_id AND revoked_at IS NULL
      ORDER BY id
      FOR UPDATE
    `);
    await tx.query(sql.unsafe`
      UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = ${userId} AND revoked_at IS NULL
    `);
  });
}

/** Deletes tokens that have expired; returns how many. */
export async function pruneRefreshTokens({ pool }: Pick<Deps, 'pool'>): Promise<number> {
  const { rowCount } = await pool.query(sql.unsafe`
    DELETE FROM refresh_tokens WHERE expires_at < now()
  `);
  return rowCount;
}

// The lock is on the family's first token, so that a rotation and a revocation of one family cannot
// pass each other: a successor that the revocation does not see would outlive it.
async function lockToken(tx: DatabaseTransactionConnection, token: string, graceSeconds: number) {
  const familyId = await tx.maybeOneFirst(sql.type(z.object({ family_id: z.guid() }))`
    SELECT family_id FROM refresh_tokens WHERE token_hash = ${hashOf(token)}
  `);
  if (!familyId) return null;
  await tx.query(sql.unsafe`SELECT FROM refresh_tokens WHERE id = ${familyId} FOR UPDATE`);
  return tx.maybeOne(sql.type(StoredToken)`
    SELECT
      family_id, user_id, expires_at,
      expires_at <= now() AS expired,
      revoked_at IS NOT NULL AS revoked,
      used_at IS NOT NULL AS used,
      coalesce(used_at + make_interval(secs => ${graceSeconds}) > clock_timestamp(), false) AS in_grace
    FROM refresh_tokens
    WHERE token_hash = ${hashOf(token)}
  `);
}

async function issue(
  tx: DatabaseTransactionConnection,
  id: string,
  token: string,
  family: Family,
): Promise<Session> {
  await tx.query(sql.unsafe`
    INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at)
    VALUES (${id}, ${family.user_id}, ${family.id}, ${hashOf(token)}, ${family.expires_at})
  `);
  return { user_id: family.user_id, refresh_token: token, expires_at: family.expires_at };
}

async function revokeFamily(tx: DatabaseTransactionConnection, familyId: string): Promise<void> {
  await tx.query(sql.unsafe`
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE family_id = ${familyId} AND revoked_at IS NULL
  `);
}

function hashOf(token: string) {
  return sql.binary(createHash('sha256').update(token).digest());
}
