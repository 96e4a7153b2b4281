import { Router } from '@koa/router';
import type { AuthDeps, Authenticated } from '../http/auth.ts';
import { jsonBody } from '../http/body.ts';
import type { Limits } from '../http/limits.ts';
import { parse } from '../http/problem.ts';
import type { AppState } from '../http/state.ts';
import { addPasswordRoutes } from './password-routes.ts';
import { callerOf } from './client.ts';
import type { AccountDeps } from './passwords.ts';
import { newUser } from './schema.ts';
import { addSessionRoutes } from './session-routes.ts';
import type { SessionDeps } from './sessions.ts';
import { findUser, register } from './users.ts';

/** The routes of accounts, passwords and sessions. Limits count by user with an access token, else by network. */
export function userRoutes(deps: AccountDeps & SessionDeps & AuthDeps, limits: Limits) {
  const router = new Router<AppState>({ prefix: '/auth' });
  const NewUser = newUser(deps.config);

  router.post('/register', limits.public, limits.register, jsonBody(), async (ctx) => {
    const user = await register(deps, parse(NewUser, ctx.state.body), callerOf(ctx));
    deps.log.info({ ...ctx.state.about, user_id: user.id }, 'user registered');
    ctx.status = 201;
    ctx.body = user;
  });

  router.get<Authenticated>('/me', limits.authenticated, limits.read, async (ctx) => {
    ctx.body = await findUser(deps, ctx.state.userId);
  });

  addSessionRoutes(router, deps, limits);
  addPasswordRoutes(router, deps, limits);
  return router;
}
