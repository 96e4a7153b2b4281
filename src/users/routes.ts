import { Router } from '@koa/router';
import type { ParameterizedContext } from 'koa';
import type { ApiDeps } from '../deps.ts';
import { authenticate, type Authenticated } from '../http/auth.ts';
import { parse, Problem } from '../http/problem.ts';
import { rateLimit } from '../http/rate-limit.ts';
import type { AppState } from '../http/state.ts';
import { signAccessToken } from './access-token.ts';
import type { AccountDeps } from './passwords.ts';
import { Credentials, newUser, RefreshRequest, type AccessToken } from './schema.ts';
import { endAllSessions, endSession, logIn, refreshSession, type Session } from './sessions.ts';
import { findUser, register } from './users.ts';

const COOKIE = 'refresh_token';

type Ctx = ParameterizedContext<AppState>;

/** Accounts and sessions. The limits count by network, because these requests have no user yet. */
export function userRoutes(deps: AccountDeps) {
  const { config } = deps;
  const router = new Router<AppState>({ prefix: '/auth' });
  const authenticated = authenticate(config);
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

  router.post(
    '/login',
    rateLimit(deps, 'login', config.RATE_LIMIT_LOGIN, byNetwork),
    async (ctx) => {
      const session = await logIn(deps, parse(Credentials, ctx.state.body));
      deps.log.info({ ...ctx.state.about, user_id: session.user_id }, 'user logged in');
      replyWithTokens(deps, ctx, session, 'cookie');
    },
  );

  router.post(
    '/refresh',
    rateLimit(deps, 'refresh', config.RATE_LIMIT_REFRESH, byNetwork),
    async (ctx) => {
      const { token, from } = sentRefreshToken(ctx);
      if (!token)
        throw new Problem('invalid-token', 'Send the refresh token as a cookie or in the body.');
      replyWithTokens(deps, ctx, await refreshSession(deps, token), from);
    },
  );

  router.post('/logout', async (ctx) => {
    const { token } = sentRefreshToken(ctx);
    if (token) await endSession(deps, token);
    setCookie(ctx, '', new Date(0));
    ctx.status = 204;
  });

  router.post<Authenticated>('/logout-everywhere', authenticated, async (ctx) => {
    await endAllSessions(deps, ctx.state.userId);
    setCookie(ctx, '', new Date(0));
    ctx.status = 204;
  });

  router.get<Authenticated>('/me', authenticated, async (ctx) => {
    ctx.body = await findUser(deps, ctx.state.userId);
  });

  return router;
}

function byNetwork(ctx: { state: AppState }): string {
  return ctx.state.network;
}

/** A client that sent its refresh token in the body has no cookies, so it gets the successor in the body too. */
function replyWithTokens(
  { config }: ApiDeps,
  ctx: Ctx,
  session: Session,
  from: 'cookie' | 'body',
): void {
  setCookie(ctx, session.refresh_token, new Date(session.expires_at));
  ctx.set('Cache-Control', 'no-store');
  ctx.body = {
    access_token: signAccessToken(config, session.user_id),
    token_type: 'bearer',
    expires_in: config.ACCESS_TOKEN_TTL_SECONDS,
    ...(from === 'body' && { refresh_token: session.refresh_token }),
  } satisfies AccessToken;
}

function sentRefreshToken(ctx: Ctx): { token: string | undefined; from: 'cookie' | 'body' } {
  const { refresh_token } = parse(RefreshRequest, ctx.state.body ?? {});
  if (refresh_token) return { token: refresh_token, from: 'body' };
  return { token: ctx.cookies.get(COOKIE), from: 'cookie' };
}

function setCookie(ctx: Ctx, value: string, expires: Date): void {
  ctx.cookies.secure = true; // also behind a proxy that ends TLS, where Koa sees plain HTTP
  ctx.cookies.set(COOKIE, value, {
    httpOnly: true,
    secure: true,
    sameSite: 'strict',
    path: '/auth',
    expires,
    overwrite: true,
  });
}
