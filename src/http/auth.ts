import type { Middleware, ParameterizedContext } from 'koa';
import compose from 'koa-compose';
import jwt from 'koa-jwt';
import type { Jwt } from 'jsonwebtoken';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { ACCESS_TOKEN_TYPE, AUDIENCE, ISSUER } from '../users/access-token.ts';
import { Problem } from './problem.ts';
import type { AppState } from './request-log.ts';

/** State of a route behind `authenticate`. */
export type Authenticated = AppState & { userId: string };

const Claims = z.object({ sub: z.guid(), jti: z.string(), exp: z.number() });

/** Lets a request through that carries a valid access token, and tells whose it is. Else 401. */
export function authenticate(config: Pick<Config, 'JWT_SECRET'>): Middleware<Authenticated> {
  const options: jwt.Options & { complete: true } = {
    secret: config.JWT_SECRET,
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    complete: true, // the header too, for its typ; koa-jwt hands it on, its types do not know
    key: 'jwt',
  };
  return compose<ParameterizedContext<Authenticated>>([jwt(options), identify]);
}

const identify: Middleware<Authenticated & { jwt?: Jwt }> = (ctx, next) => {
  const token = ctx.state.jwt;
  const claims = Claims.safeParse(token?.payload);
  // RFC 7515 4.1.11: an extension that we must understand and do not makes the token invalid.
  const isOurs = token?.header.typ === ACCESS_TOKEN_TYPE && !('crit' in token.header);
  if (!isOurs || !claims.success) throw new Problem('invalid-token');
  ctx.state.userId = claims.data.sub;
  ctx.state.log = ctx.state.log.child({ user_id: claims.data.sub });
  return next();
};
