import createHttpError from 'http-errors';
import type { Middleware } from 'koa';
import getRawBody from 'raw-body';
import { isExact } from './exact-number.ts';
import type { AppState } from './request-log.ts';

const BODY_BYTES_MAX = 100_000;

/**
 * Reads a JSON body into `ctx.state.body`, or refuses it: 413 over 100 kB, 415 when it is not
 * JSON, 400 when it does not parse. Without a body there is nothing to read, and nothing is refused.
 */
export function jsonBody(): Middleware<AppState> {
  return async (ctx, next) => {
    const length = Number(ctx.get('Content-Length') || '0');
    if (length > 0 || ctx.get('Transfer-Encoding') !== '') {
      if (!ctx.is('application/json')) throw createHttpError(415, 'Send application/json.');
      if ((ctx.get('Content-Encoding') || 'identity') !== 'identity') {
        throw createHttpError(415, 'Send the body without a content encoding.');
      }
      const limit = BODY_BYTES_MAX;
      ctx.state.body = parseJson(await getRawBody(ctx.req, { limit, length: length || null }));
    }
    await next();
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * What a text has in it somewhere when `screenMember` could find fault with it: 16 digits in a row or an
 * exponent (with fewer, a double says the same again), the name, or an escape, which could spell either.
 */
const WORTH_SCREENING = /[\d.]{16}|\d[eE]|__proto__|\\/;

/** Screened whatever is in it: only so much text can be nested so deep that nothing could walk through it. */
const LONG_TEXT = 4000;

function parseJson(bytes: Buffer): unknown {
  try {
    const text = utf8.decode(bytes);
    if (text === '') return undefined;
    const isScreened = text.length > LONG_TEXT || WORTH_SCREENING.test(text);
    return JSON.parse(text, isScreened ? screenMember : undefined) as unknown;
  } catch (cause) {
    if (createHttpError.isHttpError(cause)) throw cause;
    throw createHttpError(400, 'The body is not valid JSON.', { cause });
  }
}

/**
 * Sees each member as it is parsed. A number that a double cannot hold exactly becomes NaN, which no
 * schema accepts: 1e309 and 0.10000000000000000001 are refused with a pointer instead of being stored
 * as something else.
 */
function screenMember(key: string, value: unknown, context?: { source?: string }): unknown {
  // zod passes over this name without a word, so it would be neither refused nor stored.
  if (key === '__proto__') throw createHttpError(400, 'No member may be called __proto__.');
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return isExact(value, context.source) ? value : Number.NaN;
}
