import { Router } from '@koa/router';
import { authenticate, type Authenticated } from '../http/auth.ts';
import { parse } from '../http/problem.ts';
import { rateLimit } from '../http/rate-limit.ts';
import type { AppState } from '../http/state.ts';
import { addPasswordRoutes } from './password-routes.ts';
import type { AccountDeps } from './passwords.ts';
import { newUser } from './schema.ts';
import { addSessionRoutes, byNetwork } from './session-routes.ts';
import type { SessionDeps } from './sessions.ts';
import { findUser, register } from './users.ts';

/** Accounts and sessions. The limits count by network, because these requests have no user yet. */
export function userRoutes(deps: AccountDeps & SessionDeps) {
  const { config } = deps;
  const router = new Router<AppState>({ prefix: '/auth' });
  const NewUser = newUser(config);

  router.post(
    '/register',
    rateLimit(deps, 'register', config.RATE_LIMIT_REGISTER, byNetwork),
    async (ctx) => {
      const user = await register(deps, parse(NewUser, ctx.state.body));
      deps.log.info({ ...ctx.state.about, user_id: user.id }, 'user registered');
      ctx.status = 201;
      ctx.body = user;
    },
  );

  router.get<Authenticated>('/me', authenticate(deps), async (ctx) => {
    ctx.body = await findUser(deps, ctx.state.userId);
  });

  addSessionRoutes(router, deps);
  addPasswordRoutes(router, deps);
  return router;
}
