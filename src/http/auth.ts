import type { Middleware, ParameterizedContext } from 'koa';
import compose from 'koa-compose';
import jwt from 'koa-jwt';
import type { Jwt } from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { ACCESS_TOKEN_TYPE, AUDIENCE, ISSUER } from '../users/access-token.ts';
import { Problem } from './problem.ts';
import type { AppState } from './request-log.ts';

/** State of a route behind `authenticate`. */
export type Authenticated = AppState & { userId: string };

type Context = ParameterizedContext<Authenticated & { jwt?: Jwt }>;

const Claims = z.object({ sub: z.guid(), jti: z.string(), exp: z.number() });
type Claims = z.infer<typeof Claims>;

/** Tokens that one process remembers: some 5 MB. */
const VERIFIED_TOKENS_MAX = 10_000;

/**
 * Accepts a request with a valid access token and sets its user; answers 401 otherwise. A token that was valid once is
 * not verified again while it lasts: its signature, kind and audience do not change. Its expiry is checked each time.
 */
export function authenticate(config: Pick<Config, 'JWT_SECRET'>): Middleware<Authenticated> {
  const options: jwt.Options & { complete: true } = {
    secret: config.JWT_SECRET,
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    complete: true, // the header too, for its typ; koa-jwt hands it on, its types do not know
    key: 'jwt',
  };
  const verified = new LRUCache<string, Claims>({ max: VERIFIED_TOKENS_MAX });
  const verify = compose<Context>([
    jwt(options),
    (ctx, next) => {
      const claims = claimsOf(ctx.state.jwt);
      verified.set(ctx.get('Authorization'), claims);
      identify(ctx, claims);
      return next();
    },
  ]);
  return (ctx, next) => {
    const claims = verified.get(ctx.get('Authorization'));
    if (!claims || claims.exp * 1000 <= Date.now()) return verify(ctx, next);
    identify(ctx, claims);
    return next();
  };
}

function claimsOf(token: Jwt | undefined): Claims {
  const claims = Claims.safeParse(token?.payload);
  // RFC 7515 4.1.11: an extension that we must understand and do not makes the token invalid.
  const isOurs = token?.header.typ === ACCESS_TOKEN_TYPE && !('crit' in token.header);
  if (!isOurs || !claims.success) throw new Problem('invalid-token');
  return claims.data;
}

function identify({ state }: Context, { sub }: Claims): void {
  state.userId = sub;
  state.about.user_id = sub;
}
