import { sql } from 'slonik';
import { z } from 'zod';
import type { Authenticated } from '../http/auth.ts';
import type { Count } from '../http/limit-report.ts';
import { Problem } from '../http/problem.ts';
import type { AppState } from '../http/state.ts';
import type { AccountDeps } from './passwords.ts';
import type { PasswordChange, PasswordReset, User } from './schema.ts';
import type { Caller } from './fair-queue.ts';
import { passwordSalt } from './login.ts';
import { hashOf, type SessionDeps } from './sessions.ts';

type Deps = AccountDeps & SessionDeps;

/**
 * Changes the password of a user, and ends all sessions but that of the request. Throws `wrong-password` when the
 * current password is not right. Returns the count of failed logins. When it says `refused`, nothing has changed.
 */
export async function changePassword(
  deps: Deps,
  user: User,
  { current_password, new_password }: PasswordChange,
  { sessionId, about }: Pick<Authenticated, 'sessionId' | 'about'>,
  caller: Caller,
): Promise<Count> {
  const { pool, passwords, liveSessions, log } = deps;
  const { attempts, hashes } = await passwords.inTurn(caller, async ({ salted, hash }) => {
    const { salt, ...failed } = await passwordSalt(deps, user.email, caller.network);
    if (failed.refused) return { attempts: failed };
    const computed = await salted(current_password, salt);
    return { attempts: failed, hashes: { computed, next: await hash(new_password) } };
  });
  if (!hashes) return attempts;
  const hasChanged = await pool.oneFirst(sql.type(z.object({ has_changed: z.boolean() }))`
    SELECT change_password(${user.id}, ${hashes.computed}, ${hashes.next}, ${sessionId}) AS has_changed
  `);
  if (!hasChanged) {
    log.warn({ ...about, reason: 'wrong-password' }, 'password change failed');
    throw new Problem('wrong-password');
  }
  log.info(about, 'password changed');
  liveSessions.forgetUser(user.id);
  return attempts;
}

/**
 * Sets a new password with a token of `ops.reset_password`, and ends all sessions of the user. Throws
 * `invalid-reset-token` when the token is unknown, was used, or has expired.
 */
export async function resetPassword(
  { pool, passwords, liveSessions, log }: Deps,
  { token, new_password }: PasswordReset,
  about: AppState['about'],
  caller: Caller,
): Promise<void> {
  const passwordHash = await passwords.inTurn(caller, ({ hash }) => hash(new_password));
  const userId = await pool.oneFirst(sql.type(z.object({ user_id: z.guid().nullable() }))`
    SELECT use_password_reset(${hashOf(token)}, ${passwordHash}) AS user_id
  `);
  if (!userId) {
    log.warn({ ...about, reason: 'invalid-reset-token' }, 'password reset failed');
    throw new Problem('invalid-reset-token');
  }
  log.info({ ...about, user_id: userId }, 'password reset');
  liveSessions.forgetUser(userId);
}
