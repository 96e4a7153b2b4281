import { createHash, randomBytes, randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import type { Count } from '../http/limit-report.ts';
import type { AppState } from '../http/state.ts';
import type { ClientDescription } from './client.ts';
import type { Caller } from './fair-queue.ts';
import type { AccountDeps } from './passwords.ts';
import type { Credentials } from './schema.ts';
import { hashOf, type Session } from './sessions.ts';

const Attempts = z.object({ used: z.int(), seconds: z.int(), refused: z.boolean() });
const Salt = Attempts.extend({ salt: z.string().nullable() });
const Outcome = Attempts.omit({ refused: true }).extend({
  outcome: z.enum(['started', 'wrong', 'refused']),
  user_id: z.guid().nullable(),
  expires_at: z.iso.datetime().nullable(),
});

/** The session of a login, or null, and the count of failed logins from its network. */
type Login = { session: Session | null; attempts: Count };

/**
 * Starts a session. A user may have any number of sessions. An unknown address and a wrong password get the same reply
 * after the same time: both cost two calls and one argon2 hash. While too many logins have failed, there is no session
 * and no hash (sql/functions/attempts.sql). The whole login waits for its turn, not only its hash: so it asks for the
 * count after the logins before it have been counted.
 */
export function logIn(
  deps: AccountDeps,
  { email, password }: Credentials,
  client: ClientDescription & Caller,
  about: AppState['about'],
): Promise<Login> {
  const logged = { ...about, account: accountTag(email) };
  return deps.passwords.inTurn(client, async ({ salted }) => {
    const { salt, ...attempts } = await passwordSalt(deps, email, client.address);
    if (attempts.refused) {
      deps.log.warn(logged, 'login refused');
      return { session: null, attempts };
    }
    const login = await startSession(deps, email, await salted(password, salt), client);
    if (login.session)
      deps.log.info({ ...logged, user_id: login.session.user_id }, 'user logged in');
    else {
      const reason = salt === null ? 'unknown-account' : 'wrong-password';
      deps.log.warn({ ...logged, reason }, 'login failed');
    }
    return login;
  });
}

/** The parameters and the salt of a password hash, without the hash. Null for an unknown address, and when refused. */
export function passwordSalt({ pool }: ApiDeps, email: string, address: string | null) {
  return pool.one(sql.prepared('password-salt', Salt)`
    SELECT salt, refused, used, seconds FROM password_salt(${email}, ${address})
  `);
}

async function startSession(
  { pool, config }: ApiDeps,
  email: string,
  computedHash: string,
  { address, user_agent }: ClientDescription,
): Promise<Login> {
  const session_id = randomUUIDv7();
  const refresh_token = randomBytes(32).toString('base64url');
  const login = await pool.one(sql.prepared('log-in', Outcome)`
    SELECT outcome, user_id, expires_at, used, seconds
    FROM log_in(
      ${email}, ${computedHash}, ${session_id}, ${hashOf(refresh_token)},
      ${config.REFRESH_TOKEN_TTL_SECONDS}, ${address}, ${user_agent},
      ${config.RATE_LIMIT_LOGIN}, ${config.RATE_LIMIT_LOGIN_TOTAL}
    )
  `);
  const { outcome, user_id, expires_at, used, seconds } = login;
  const session = user_id && expires_at ? { session_id, refresh_token, user_id, expires_at } : null;
  return { session, attempts: { used, seconds, refused: outcome === 'refused' } };
}

/** Stands for an account in the log, which must not have its address. */
function accountTag(email: string): string {
  return createHash('sha256').update(email).digest('hex').slice(0, 16);
}
