import type { IncomingMessage } from 'node:http';
import createHttpError from 'http-errors';
import type { Middleware } from 'koa';
import { isExact } from './exact-number.ts';
import type { AppState } from './request-log.ts';

const BODY_BYTES_MAX = 100_000;

/**
 * Reads a JSON body into `ctx.state.body`, or refuses it: 413 over 100 kB, 415 when it is not
 * JSON, 400 when it does not parse. Without a body there is nothing to read, and nothing is refused.
 */
export function jsonBody(): Middleware<AppState> {
  return async (ctx, next) => {
    const { headers } = ctx.req;
    const length = Number(headers['content-length'] ?? '0');
    if (length > 0 || headers['transfer-encoding']) {
      const isJson = headers['content-type'] === 'application/json' || ctx.is('application/json');
      if (!isJson) throw createHttpError(415, 'Send application/json.');
      if ((headers['content-encoding'] || 'identity') !== 'identity') {
        throw createHttpError(415, 'Send the body without a content encoding.');
      }
      if (length > BODY_BYTES_MAX) throw tooLarge();
      ctx.state.body = parseJson(await readBody(ctx.req));
    }
    await next();
  };
}

/** The whole body. Past the limit it is refused, and the rest of it is not read. */
function readBody(req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
      else {
        req.pause();
        reject(tooLarge());
      }
    });
    req.on('end', () => resolve(Buffer.concat(chunks)));
    req.on('close', () => {
      if (!req.readableEnded) reject(aborted());
    });
  });
}

function tooLarge(): Error {
  return createHttpError(413, 'request entity too large');
}

/** The client hung up before it had sent the body. */
function aborted(): Error {
  return createHttpError(400, 'request aborted', { type: 'request.aborted' });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * What a text has in it somewhere when `screenMember` could find fault with it: 16 digits in a row or an
 * exponent (with fewer, a double says the same again), the name, or an escape, which could spell either.
 */
const WORTH_SCREENING = /[\d.]{16}|\d[eE]|__proto__|\\/;

/** Longer texts are always screened: only a long text can be nested too deep for a recursive walk. */
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
