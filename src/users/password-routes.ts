import type { Router } from '@koa/router';
import type { Authenticated } from '../http/auth.ts';
import { jsonBody } from '../http/body.ts';
import type { Limits } from '../http/limits.ts';
import { parse } from '../http/problem.ts';
import type { AppState } from '../http/state.ts';
import { callerOf } from './client.ts';
import { changePassword, resetPassword } from './password-change.ts';
import type { AccountDeps } from './passwords.ts';
import { knownOf, passwordChange, passwordReset } from './schema.ts';
import type { SessionDeps } from './sessions.ts';
import { findUser } from './users.ts';

/** Adds the routes that change a password. RATE_LIMIT_LOGIN limits them too, because they check a secret. */
export function addPasswordRoutes(
  router: Router<AppState>,
  deps: AccountDeps & SessionDeps,
  limits: Limits,
): void {
  const { config } = deps;
  const PasswordReset = passwordReset(config);

  router.post<Authenticated>(
    '/password',
    limits.authenticated,
    limits.password,
    jsonBody(),
    async (ctx) => {
      const user = await findUser(deps, ctx.state.userId);
      const change = parse(passwordChange(config, knownOf(user)), ctx.state.body);
      const attempts = await changePassword(deps, user, change, ctx.state, callerOf(ctx));
      limits.reportLogin(ctx, attempts);
      ctx.status = 204;
    },
  );

  router.post('/password-reset', limits.public, limits.passwordReset, jsonBody(), async (ctx) => {
    await resetPassword(deps, parse(PasswordReset, ctx.state.body), ctx.state.about, callerOf(ctx));
    ctx.status = 204;
  });
}
