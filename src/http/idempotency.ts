/*
 * Safe retries (draft-ietf-httpapi-idempotency-key-header-08): a client sends a request with a key of its choice, and
 * may repeat the request with this key until it gets a reply. The request takes effect once. Each repeat gets the same
 * reply, even when the order has changed since. This file reads the header. place_orders and cancel_order store the
 * reply in the transaction of the effect (src/orders/idempotency.ts).
 *
 * A key is valid for one user, method, path and body. Bodies are compared in canonical form: members sorted, numbers as
 * ECMAScript writes them. So white space and the order of members do not matter. All else does: a body that states a
 * default value differs from a body that omits it.
 */
import type { Middleware } from 'koa';
import { canonicalJson, sha256 } from '../canonical.ts';
import type { Authenticated } from './auth.ts';
import type { Mistake } from './mistakes.ts';
import { Problem } from './problem.ts';

const KEY_CHARACTERS_MAX = 255;

/** A request with a key: the user, method and path that the key is valid for, and the fingerprint of the body. */
export type KeyedRequest = {
  user_id: string;
  method: string;
  path: string;
  key: string;
  fingerprint: string;
};

/** The state of a request after `idempotencyKey`. */
export type KeyedState = Authenticated & { keyed?: KeyedRequest };

/** Reads the Idempotency-Key, which is optional, into `ctx.state.keyed`. */
export function idempotencyKey(): Middleware<KeyedState> {
  return (ctx, next) => {
    // Checked first, because Node builds headersDistinct only when it is read.
    const values =
      ctx.req.headers['idempotency-key'] === undefined
        ? undefined
        : ctx.req.headersDistinct['idempotency-key'];
    if (values) {
      ctx.state.keyed = {
        user_id: ctx.state.userId,
        method: ctx.method,
        path: ctx.path.toLowerCase().replace(/\/$/, ''), // the router accepts these spellings too
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
/** Visible ASCII without quotes, which begin a string, and commas, with which proxies join repeated headers. */
const BARE_KEY = /^[!#-+\--~]+$/;

/**
 * Returns the key in the header's values. It is a structured-field string, or visible ASCII without quotes, as many
 * clients send a UUID. Refuses anything else, and more than one key.
 */
export function parseKey(values: string[]): string {
  const keys = new Set(values.map(unquote));
  const [key = ''] = keys;
  if (keys.size > 1) throw malformed('Send only one Idempotency-Key.');
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
    throw malformed(
      'The Idempotency-Key must be a string in double quotes, or visible ASCII without quotes and commas.',
    );
  }
  return quoted.replaceAll(/\\(.)/g, '$1');
}

function malformed(detail: string): Problem {
  const errors: Mistake[] = [{ detail, header: 'Idempotency-Key' }];
  return new Problem('invalid-idempotency-key', detail, { errors });
}

/** The SHA-256 of a body in canonical form, in hex. A missing body and an empty one differ. */
export function fingerprintOf(body: unknown): string {
  return sha256(body === undefined ? '' : canonicalJson(body));
}
