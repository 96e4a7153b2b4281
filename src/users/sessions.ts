/*
 * Sessions: a short-lived access token (JWT, RFC 9068) and a refresh token (opaque, RFC 9700 4.14.2). Each use
 * exchanges the refresh token for its successor. All tokens that descend from one login are a family. The second use of
 * a token revokes its family, because one of the two users must be a thief. There is one exception: for a few seconds
 * after the first use, the reply may have been lost. Then the second use gets the same successor, unless that has been
 * used itself. So a family never has two branches.
 *
 * A successor is not random but derived: HMAC(secret, token). It cannot be computed without the secret, and it can be
 * sent again without being stored.
 *
 * The rules are only in sql/functions. Those functions compare hashes, and none returns a stored hash.
 */
import { createHash, createHmac, randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import type { ClientDescription } from './client.ts';
import type { LiveSessions } from './live-sessions.ts';
import { ListedSession } from './schema.ts';

/** The dependencies of functions that end sessions. */
export type SessionDeps = ApiDeps & { liveSessions: LiveSessions };

const Started = z.object({ user_id: z.guid(), expires_at: z.iso.datetime() });

/** A session after a login or a refresh. */
export type Session = z.infer<typeof Started> & { session_id: string; refresh_token: string };

const Refreshed = z.discriminatedUnion('outcome', [
  Started.extend({ outcome: z.enum(['rotated', 'repeated']), family_id: z.guid() }),
  z.object({ outcome: z.literal('reused'), user_id: z.guid(), family_id: z.guid() }),
  z.object({ outcome: z.literal('refused') }),
]);

/** Exchanges a refresh token for its successor. Throws `invalid-token` for a token that is not valid any more. */
export async function refreshSession(
  deps: SessionDeps,
  refreshToken: string,
  client: ClientDescription,
): Promise<Session> {
  const { JWT_SECRET, JWT_SECRETS_ACCEPTED } = deps.config;
  for (const secret of [JWT_SECRET, ...JWT_SECRETS_ACCEPTED]) {
    const successor = createHmac('sha256', secret)
      .update(`refresh ${refreshToken}`)
      .digest('base64url');
    const session = await exchange(deps, refreshToken, successor, client);
    if (session.outcome === 'rotated' || session.outcome === 'repeated') {
      const { user_id, family_id, expires_at } = session;
      return { user_id, session_id: family_id, refresh_token: successor, expires_at };
    }
    if (session.outcome === 'reused') {
      const { user_id, family_id } = session;
      deps.liveSessions.forgetUser(user_id);
      deps.log.warn({ user_id, family_id }, 'refresh token reused');
      break;
    }
    // Refused. If JWT_SECRET was replaced a moment ago, the successor may be derived from a secret of the next round.
  }
  throw new Problem('invalid-token', 'The refresh token is not valid.');
}

function exchange(
  { pool, config }: ApiDeps,
  refreshToken: string,
  successor: string,
  client: ClientDescription,
) {
  return pool.one(sql.prepared('refresh-session', Refreshed)`
    SELECT outcome, user_id, family_id, expires_at
    FROM refresh_session(
      ${hashOf(refreshToken)}, ${randomUUIDv7()}, ${hashOf(successor)},
      ${config.REFRESH_GRACE_SECONDS}, ${client.address}, ${client.user_agent}
    )
  `);
}

/** Ends the session of a refresh token. Does nothing when the session has ended or never existed. */
export async function endSession(deps: SessionDeps, refreshToken: string): Promise<void> {
  const userId = await deps.pool.oneFirst(sql.type(z.object({ user_id: z.guid().nullable() }))`
    SELECT end_session(${hashOf(refreshToken)}) AS user_id
  `);
  if (userId) deps.liveSessions.forgetUser(userId);
}

/**
 * Ends every session of a user, including one that is being refreshed at the same time. Their access tokens are refused
 * at once by this process, and by others within 5 seconds.
 */
export async function endAllSessions(
  { pool, liveSessions }: SessionDeps,
  userId: string,
): Promise<void> {
  await pool.query(sql.unsafe`SELECT end_all_sessions(${userId})`);
  liveSessions.forgetUser(userId);
}

/** Returns the sessions of a user that live, the newest first; at most 100. */
export function listSessions({ pool }: ApiDeps, userId: string): Promise<readonly ListedSession[]> {
  return pool.any(sql.prepared('list-sessions', ListedSession)`
    SELECT id, created_at, last_used_at, expires_at, network, user_agent
    FROM list_sessions(${userId})
  `);
}

/** Ends one session of a user, and its access tokens. Throws `session-not-found` when the user has no such session. */
export async function endOwnSession(
  { pool, liveSessions }: SessionDeps,
  userId: string,
  sessionId: string,
): Promise<void> {
  const hasEnded = await pool.oneFirst(sql.type(z.object({ has_ended: z.boolean() }))`
    SELECT end_own_session(${userId}, ${sessionId}) AS has_ended
  `);
  liveSessions.forgetUser(userId);
  if (!hasEnded) throw new Problem('session-not-found');
}

/** Deletes expired tokens. Returns their number. */
export function pruneRefreshTokens({ pool }: Pick<ApiDeps, 'pool'>): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ pruned: z.int() }))`
    SELECT prune_refresh_tokens() AS pruned
  `);
}

/** The hash under which a token is stored. */
export function hashOf(token: string) {
  return sql.binary(createHash('sha256').update(token).digest());
}
