/*
 * Safe retries (draft-ietf-httpapi-idempotency-key-header-07): a client names a request with a key of its
 * own making, and may send it again until it has seen a reply. The first time has the effect; every other
 * time gets the same reply, independent of the order's status now. This file is the HTTP side: reading the
 * header. src/orders/idempotency.ts commits the reply together with the effect.
 *
 * A key is good for one user, method and path, and for one body there. Bodies are compared in a canonical
 * form: members sorted, numbers as ECMAScript writes them. So white space and the order of members do not
 * matter; everything else does, also a member that is spelled out and would have been the default.
 */
import type { Middleware } from 'koa';
import { canonicalJson, sha256 } from '../canonical.ts';
import type { Authenticated } from './auth.ts';
import { Problem } from './problem.ts';

const KEY_CHARACTERS_MAX = 255;

/** A request under a key: what it may be compared with, and the fingerprint of its body, in hex. */
export type KeyedRequest = {
  user_id: string;
  method: string;
  path: string;
  key: string;
  fingerprint: string;
};

/** What a request is answered with: now, and under the same key again. The body is JSON, as sent. */
export type Reply = {
  status: number;
  headers: Record<string, string>;
  body: string;
  order_id: string;
  replayed: boolean;
};

/** State of a route behind `idempotencyKey`. */
export type KeyedState = Authenticated & { keyed?: KeyedRequest };

/** Reads the Idempotency-Key into `ctx.state.keyed`. Without one, the request works as ever. */
export function idempotencyKey(): Middleware<KeyedState> {
  return (ctx, next) => {
    // Looked for first in what Node has at hand: the other is made for the one question.
    const values =
      ctx.req.headers['idempotency-key'] === undefined
        ? undefined
        : ctx.req.headersDistinct['idempotency-key'];
    if (values) {
      ctx.state.keyed = {
        user_id: ctx.state.userId,
        method: ctx.method,
        path: ctx.path.toLowerCase().replace(/\/$/, ''), // all of these are one route
        key: parseKey(values),
        fingerprint: fingerprintOf(ctx.state.body),
      };
    }
    return next();
  };
}

// RFC 9651. Parameters are parsed and ignored: the draft defines none.
const STRING = String.raw`"((?:[ !#-[\]-~]|\\["\\])*)"`;
const BARE_ITEM = String.raw`${STRING}|[A-Za-z*][\w!#$%&'*+.^|~:/\x60-]*|-?\d{1,15}(?:\.\d{1,3})?|\?[01]|:[\w+/=]*:`;
const PARAMETERS = String.raw`(?: *; *[a-z*][a-z0-9_.*-]*(?:=(?:${BARE_ITEM}))?)*`;
const QUOTED_KEY = new RegExp(`^${STRING}${PARAMETERS}$`);
/** Visible ASCII. A quote would begin a string; a comma is how proxies join a header sent twice. */
const BARE_KEY = /^[!#-+\--~]+$/;

/**
 * The key that the header's values name: a structured-field string, or the same characters without
 * quotes, as many clients send a UUID. Anything else, and more than one key, is refused.
 */
export function parseKey(values: string[]): string {
  const keys = new Set(values.map(unquote));
  const [key = ''] = keys;
  if (keys.size > 1) throw malformed('Send one Idempotency-Key.');
  if (key === '') throw malformed('The Idempotency-Key is empty.');
  if (key.length > KEY_CHARACTERS_MAX) {
    throw malformed(`The Idempotency-Key has more than ${KEY_CHARACTERS_MAX} characters.`);
  }
  return key;
}

function unquote(value: string): string {
  if (value === '' || BARE_KEY.test(value)) return value;
  const [, quoted] = QUOTED_KEY.exec(value) ?? [];
  if (quoted === undefined) {
    throw malformed('The Idempotency-Key must be a string in double quotes, or visible ASCII.');
  }
  return quoted.replaceAll(/\\(.)/g, '$1');
}

function malformed(detail: string): Problem {
  return new Problem('invalid-idempotency-key', detail);
}

/** sha256 of a body in canonical form, in hex. No body at all is something else than an empty one. */
export function fingerprintOf(body: unknown): string {
  return sha256(body === undefined ? '' : canonicalJson(body));
}
