import type { Router } from '@koa/router';
import type { ParameterizedContext } from 'koa';
import type { AuthDeps, Authenticated } from '../http/auth.ts';
import { jsonBody } from '../http/body.ts';
import type { Limits } from '../http/limits.ts';
import { ownOrigin } from '../http/own-origin.ts';
import { parse, parseParameters, Problem } from '../http/problem.ts';
import type { AppState } from '../http/state.ts';
import { signAccessToken } from './access-token.ts';
import { callerOf, describeClient } from './client.ts';
import type { AccountDeps } from './passwords.ts';
import { logIn } from './login.ts';
import { removeRefreshCookie, sentRefreshToken, setRefreshCookie } from './refresh-cookie.ts';
import { Credentials, SessionId, type AccessToken } from './schema.ts';
import {
  endAllSessions,
  endOwnSession,
  endSession,
  listSessions,
  refreshSession,
  type Session,
  type SessionDeps,
} from './sessions.ts';

type Deps = AccountDeps & SessionDeps & AuthDeps;

/** Adds the routes that begin, continue, list and end sessions. */
export function addSessionRoutes(router: Router<AppState>, deps: Deps, limits: Limits): void {
  addTokenRoutes(router, deps, limits);
  const { authenticated, read } = limits;

  router.post<Authenticated>('/logout-everywhere', authenticated, read, async (ctx) => {
    await endAllSessions(deps, ctx.state.userId);
    removeRefreshCookie(ctx);
    ctx.status = 204;
  });

  router.get<Authenticated>('/sessions', authenticated, read, async (ctx) => {
    const { userId, sessionId } = ctx.state;
    const sessions = await listSessions(deps, userId);
    ctx.body = {
      sessions: sessions.map((one) => Object.assign({}, one, { current: one.id === sessionId })),
    };
  });

  router.delete<Authenticated>('/sessions/:id', authenticated, read, async (ctx) => {
    await endOwnSession(deps, ctx.state.userId, parseParameters(SessionId, ctx.params).id);
    ctx.status = 204;
  });
}

function addTokenRoutes(router: Router<AppState>, deps: Deps, limits: Limits): void {
  const own = ownOrigin(deps.config.CORS_ORIGINS);

  router.post('/login', limits.public, own, jsonBody(), async (ctx) => {
    const credentials = parse(Credentials, ctx.state.body);
    const client = { ...describeClient(ctx), ...callerOf(ctx) };
    const { session, attempts } = await logIn(deps, credentials, client, ctx.state.about);
    limits.reportLogin(ctx, attempts);
    if (!session) throw new Problem('invalid-credentials');
    replyWithTokens(deps, ctx, session, 'cookie');
  });

  router.post('/refresh', limits.public, own, limits.refresh, jsonBody(), async (ctx) => {
    const { token, from } = sentRefreshToken(ctx);
    if (!token)
      throw new Problem('invalid-token', 'Send the refresh token as a cookie or in the body.');
    const session = await refreshSession(deps, token, describeClient(ctx));
    replyWithTokens(deps, ctx, session, from);
  });

  router.post('/logout', limits.public, own, jsonBody(), async (ctx) => {
    const { token } = sentRefreshToken(ctx);
    if (token) await endSession(deps, token);
    removeRefreshCookie(ctx);
    ctx.status = 204;
  });
}

/**
 * Replies with an access token, which does not outlive its session. A client that sent its refresh token in the body
 * has no cookies, so it gets the successor in the body too.
 */
function replyWithTokens(
  { config, tokenKeys }: Deps,
  ctx: ParameterizedContext<AppState>,
  session: Session,
  from: 'cookie' | 'body',
): void {
  const expires = new Date(session.expires_at);
  const leftSeconds = Math.max(Math.floor((expires.getTime() - Date.now()) / 1000), 0);
  const expires_in = Math.min(config.ACCESS_TOKEN_TTL_SECONDS, leftSeconds);
  setRefreshCookie(ctx, session.refresh_token, expires);
  ctx.state.headers.push('Cache-Control', 'no-store');
  ctx.body = {
    access_token: signAccessToken(tokenKeys, session, expires_in),
    token_type: 'bearer',
    expires_in,
    ...(from === 'body' && { refresh_token: session.refresh_token }),
  } satisfies AccessToken;
}
