import type { Middleware, Next, ParameterizedContext } from 'koa';
import compose from 'koa-compose';
import { decodeProtectedHeader, jwtVerify, type JWTHeaderParameters } from 'jose';
import jwt from 'koa-jwt';
import type { JwtHeader } from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { ACCESS_TOKEN_TYPE, AUDIENCE, ISSUER } from '../users/access-token.ts';
import type { LiveSessions } from '../users/live-sessions.ts';
import type { TokenKeys } from '../users/token-keys.ts';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

/** What authentication needs: the keys of access tokens, and the cache of the sessions that live. */
export type AuthDeps = { tokenKeys: TokenKeys; liveSessions: LiveSessions };

/** The state of a request after `authenticate`. */
export type Authenticated = AppState & { userId: string; sessionId: string };

/** A token whose signature, times, issuer and audience are right. */
type Verified = { header: object; payload: unknown };

type Context = ParameterizedContext<Authenticated & { jwt?: Verified }>;

const Claims = z.object({ sub: z.guid(), sid: z.guid(), jti: z.string(), exp: z.number() });
type Claims = z.infer<typeof Claims>;

/** A process keeps at most this many verified tokens. They take about 5 MB. */
const VERIFIED_TOKENS_MAX = 10_000;

/**
 * Sets the user and the session of a request with a valid access token whose session lives. Refuses any other request
 * with 401, or with 503 when the database does not say whether the session lives. A process verifies a token once and
 * keeps it. When the token comes again, only its expiry and its session are checked, because nothing else can change.
 * Forbids caches to store the replies to requests with a valid token.
 */
export function authenticate({ tokenKeys, liveSessions }: AuthDeps): Middleware<Authenticated> {
  const verified = new LRUCache<string, Claims>({ max: VERIFIED_TOKENS_MAX });
  const admit = (ctx: Context, claims: Claims, next: Next) => {
    identify(ctx, claims);
    const isLive = liveSessions.isLive({ session_id: claims.sid, user_id: claims.sub });
    return isLive === true ? next() : nextIf(isLive, next);
  };
  const verify = compose<Context>([
    verifySignature(tokenKeys),
    (ctx, next) => {
      const claims = claimsOf(ctx.state.jwt);
      verified.set(tokenOf(ctx) ?? '', claims);
      return admit(ctx, claims, next);
    },
  ]);
  return (ctx, next) => {
    const claims = verified.get(tokenOf(ctx) ?? '');
    if (!claims || claims.exp * 1000 <= Date.now()) return verify(ctx, next);
    return admit(ctx, claims, next);
  };
}

/** Verifies a token with the key that it names, and sets `ctx.state.jwt`. koa-jwt does not know Ed25519; jose does. */
function verifySignature(tokenKeys: TokenKeys): Middleware<Context['state']> {
  const options: jwt.Options & { complete: true } = {
    secret: async ({ kid }: JwtHeader) => tokenKeys.secretOf(kid) ?? '',
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    complete: true, // also returns the header, for its typ; the types of koa-jwt lack this option
    key: 'jwt',
    getToken: tokenOf,
  };
  const verifyBySecret = jwt(options);
  return async (ctx, next) => {
    const token = tokenOf(ctx);
    if (token === null || !namesPublicKey(token)) return verifyBySecret(ctx, next);
    ctx.state.jwt = await verifyByKey(tokenKeys, token);
    return next();
  };
}

/** The token of a request. RFC 9110 11.4 allows several spaces before it; the cache must not keep them. */
function tokenOf(ctx: Pick<ParameterizedContext, 'get'>): string | null {
  return /^Bearer +(\S+)$/i.exec(ctx.get('Authorization'))?.[1] ?? null;
}

function namesPublicKey(token: string): boolean {
  try {
    return decodeProtectedHeader(token).alg === 'EdDSA';
  } catch {
    return false; // not a token; koa-jwt refuses it
  }
}

async function verifyByKey(tokenKeys: TokenKeys, token: string): Promise<Verified> {
  const keyOf = ({ kid }: JWTHeaderParameters) => {
    const key = tokenKeys.publicKeyOf(kid);
    if (!key) throw new Problem('invalid-token');
    return key;
  };
  const options = { algorithms: ['EdDSA'], issuer: ISSUER, audience: AUDIENCE };
  try {
    const { protectedHeader, payload } = await jwtVerify(token, keyOf, options);
    return { header: protectedHeader, payload };
  } catch {
    throw new Problem('invalid-token');
  }
}

async function nextIf(isLive: boolean | Promise<boolean>, next: Next): Promise<unknown> {
  if (!(await isLive)) throw new Problem('invalid-token');
  return next();
}

function claimsOf(token: Verified | undefined): Claims {
  const claims = Claims.safeParse(token?.payload);
  // RFC 7515 4.1.11: `crit` lists extensions that the receiver must support. This service supports none.
  const { typ, crit }: JwtHeader = (token?.header ?? {}) as JwtHeader;
  const isOurs = typ === ACCESS_TOKEN_TYPE && crit === undefined;
  if (!isOurs || !claims.success) throw new Problem('invalid-token');
  return claims.data;
}

function identify({ state }: Context, { sub, sid }: Claims): void {
  state.userId = sub;
  state.sessionId = sid;
  state.about.user_id = sub;
  state.headers.push('Cache-Control', 'no-store');
}
