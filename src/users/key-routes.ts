import { Router } from '@koa/router';
import type { Limits } from '../http/limits.ts';
import type { AppState } from '../http/state.ts';
import type { TokenKeys } from './token-keys.ts';

const CACHE_SECONDS = 300;

/** The route to the public keys, for other services that verify access tokens. */
export function keyRoutes({ tokenKeys }: { tokenKeys: TokenKeys }, limits: Limits) {
  const router = new Router<AppState>();
  router.get('/.well-known/jwks.json', limits.public, (ctx) => {
    ctx.state.headers.push('Cache-Control', `public, max-age=${CACHE_SECONDS}`);
    ctx.body = tokenKeys.jwks;
  });
  return router;
}
