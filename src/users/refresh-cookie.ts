import type { ParameterizedContext } from 'koa';
import type { AppState } from '../http/state.ts';
import { parse } from '../http/problem.ts';
import { RefreshRequest } from './schema.ts';

/** Browsers accept a cookie with the prefix __Host- only over TLS, for one host, and for all paths of this host. */
const COOKIE = '__Host-refresh_token';

/** The name in the original system. Its clients may still send it. */
const ORIGINAL_COOKIE = 'refresh_token';

type Ctx = ParameterizedContext<AppState>;

/** A refresh token, and the part of the request that contained it. */
type SentToken = { token: string | undefined; from: 'cookie' | 'body' };

/** The refresh token of a request: from the body, or else from the cookie. */
export function sentRefreshToken(ctx: Ctx): SentToken {
  const { refresh_token } = parse(RefreshRequest, ctx.state.body ?? {});
  if (refresh_token) return { token: refresh_token, from: 'body' };
  return { token: ctx.cookies.get(COOKIE) ?? ctx.cookies.get(ORIGINAL_COOKIE), from: 'cookie' };
}

/** Sets the refresh token as a cookie. */
export function setRefreshCookie(ctx: Ctx, value: string, expires: Date): void {
  ctx.cookies.secure = true; // also behind a proxy that ends TLS, where Koa sees plain HTTP
  ctx.cookies.set(COOKIE, value, {
    httpOnly: true,
    secure: true,
    sameSite: 'strict',
    path: '/',
    expires,
    overwrite: true,
  });
}

/** Removes the cookie. */
export function removeRefreshCookie(ctx: Ctx): void {
  setRefreshCookie(ctx, '', new Date(0));
}
